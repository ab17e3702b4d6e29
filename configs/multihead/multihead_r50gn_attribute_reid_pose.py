# The multi-head baseline on three tasks (Tables 3 and A-4).
_base_ = 'multihead_r50gn_4task.py'
tasks = ['attribute', 'reid', 'pose']
