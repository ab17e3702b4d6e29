# The multi-head baseline on three tasks (Table A-5).
_base_ = 'multihead_r50gn_4task.py'
tasks = ['attribute', 'reid', 'parsing']
