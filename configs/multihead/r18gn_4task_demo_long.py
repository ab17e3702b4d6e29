# The multi-head baseline of the long demo; where it was run, the demo's table shows it.
_base_ = ['../gradsplit/r18gn_4task_demo_long.py', '../_base_/methods/multihead.py']
optim_wrapper = _base_.multihead.optim_wrapper
method = 'multihead'
custom_hooks = [dict(type='SummaryHook')]
