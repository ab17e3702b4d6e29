# Table 6, GradSplit: tests the attribute task of the four-task network on Market-1501.
_base_ = ['../gradsplit/r50gn_4task.py', '../_base_/tasks/attribute_market1501.py']
tasks = ['attribute']
test_dataloader = dict(attribute=dict(_base_.attribute_market1501.test_dataloader, _delete_=True))
test_cfg = dict(references={'attribute/MA': 73.0})  # the single-task ResNet-50-GN of Table 6
