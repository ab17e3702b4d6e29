_base_ = '../multihead/multihead_r50bn_4task.py'
tasks = ['reid']
