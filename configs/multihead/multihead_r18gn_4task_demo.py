# The multi-head baseline of the demo; where it was run, the demo's table shows it.
_base_ = '../gradsplit/r18gn_4task_demo.py'
optim_wrapper = dict(relations='all')
custom_hooks = [dict(type='SummaryHook')]
