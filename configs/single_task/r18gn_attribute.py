_base_ = '../multihead/multihead_r18gn_4task.py'
tasks = ['attribute']
