# GradSplit on three tasks (Table A-5).
_base_ = 'r50gn_4task.py'
tasks = ['attribute', 'reid', 'parsing']
