_base_ = '../multihead/multihead_r18gn_3task_digits.py'
tasks = ['mask']
