# Table 6 on the long demo's drawn pedestrians: the attribute task on the re-identification set.
_base_ = ['../gradsplit/r18gn_4task_demo_long.py', '../_base_/tasks/attribute_market1501.py']
tasks = ['attribute']
test_dataloader = dict(
    attribute=dict(
        _base_.attribute_market1501.test_dataloader,
        _delete_=True,
        dataset=dict(
            _base_.attribute_market1501.test_dataloader.dataset,
            data_root=_base_.root + '/market1501',
            pipeline=_base_.val_dataloader.attribute.dataset.pipeline,
        ),
    )
)
test_cfg = dict(references=dict(_delete_=True))  # the paper's are of other data
