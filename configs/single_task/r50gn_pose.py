# The single task 'pose' (Table 2): with one task, every filter is its own.
_base_ = '../gradsplit/r50gn_4task.py'
tasks = ['pose']
