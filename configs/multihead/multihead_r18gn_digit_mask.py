# Two tasks of the digits over photographs (Table A-6).
_base_ = 'multihead_r18gn_3task_digits.py'
tasks = ['digit', 'mask']
