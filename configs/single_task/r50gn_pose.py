_base_ = '../multihead/multihead_r50gn_4task.py'
tasks = ['pose']
