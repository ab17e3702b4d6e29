_base_ = '../multihead/multihead_r18bn_4task.py'
tasks = ['parsing']
