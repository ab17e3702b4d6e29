# Table 6 on the long demo's drawn pedestrians: the attribute task on the re-identification set.
_base_ = ['../gradsplit/r18gn_4task_demo_long.py', '../_base_/tasks/attribute_market1501.py']
tasks = ['attribute']
here = dict(
    data_root=_base_.root + '/market1501',
    pipeline=_base_.val_dataloader.attribute.dataset.pipeline,
)
test_dataloader = dict(
    attribute=dict(dataset=dict(_base_.attribute_market1501, _delete_=True, **here))
)
test_cfg = dict(references=dict(_delete_=True))  # the paper's are of other data
