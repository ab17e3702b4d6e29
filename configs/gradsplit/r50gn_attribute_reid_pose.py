# GradSplit on three tasks (Tables 3 and A-4).
_base_ = 'r50gn_4task.py'
tasks = ['attribute', 'reid', 'pose']
