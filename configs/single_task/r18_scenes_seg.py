# The single task 'seg' on the drawn scenes (STA, beside Table 1).
_base_ = '../sta/ft_r18_scenes.py'
tasks = ['seg']
