# Table 6: tests the attribute task on Market-1501, whichever method trained the network. The single
# task can be trained with this config, too.
_base_ = ['../gradsplit/r50gn_4task.py', '../_base_/tasks/attribute_market1501.py']
tasks = ['attribute']
pipeline = _base_.val_dataloader.attribute.dataset.pipeline
test_dataloader = dict(
    attribute=dict(dataset=dict(_base_.attribute_market1501, _delete_=True, pipeline=pipeline))
)
test_cfg = dict(references={'attribute/MA': 73.0})  # the single-task ResNet-50-GN of Table 6
