# GradNorm on three tasks (GradSplit, Tables 3 and A-4).
_base_ = 'gradnorm_r50gn_4task.py'
tasks = ['attribute', 'reid', 'pose']
