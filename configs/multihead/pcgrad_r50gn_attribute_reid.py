# PCGrad on two tasks (GradSplit, Table A-3).
_base_ = 'pcgrad_r50gn_attribute_reid_pose.py'
tasks = ['attribute', 'reid']
