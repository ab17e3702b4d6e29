# The multi-head baseline on two tasks (Table A-3).
_base_ = 'multihead_r50gn_4task.py'
tasks = ['attribute', 'reid']
