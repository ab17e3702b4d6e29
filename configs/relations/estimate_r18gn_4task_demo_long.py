# Relations between the demo's tasks, estimated during one multi-head training;
# tools/estimate_relations.py measures them by ten.
_base_ = ['../gradsplit/r18gn_4task_demo_long.py', '../_base_/methods/multihead.py']
optim_wrapper = _base_.multihead.optim_wrapper
custom_hooks = [
    dict(type='SummaryHook'),
    dict(
        type='RelationEstimateHook',
        interval=10,
        # Not reid: the identities of its test set have no class, so its loss is that of other
        # samples of the training set.
        held_out=dict(
            attribute=dict(dataset=dict(split='val')),
            pose=dict(dataset=dict(ann_file='annotations/mpii_val.json')),
            parsing=dict(
                dataset=dict(
                    data_prefix=dict(img_path='val_images', seg_map_path='val_segmentations')
                )
            ),
        ),
    ),
    dict(type='ConflictFrequencyHook', interval=100),
]
