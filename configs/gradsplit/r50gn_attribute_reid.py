# GradSplit on two tasks (Table A-3).
_base_ = 'r50gn_4task.py'
tasks = ['attribute', 'reid']
