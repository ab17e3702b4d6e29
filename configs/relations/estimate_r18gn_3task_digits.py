# Relations between the tasks of digits on photographs, estimated during one multi-head training;
# tools/estimate_relations.py measures them by six. The losses are those of the test set, on which
# the measured relations' accuracies are, too.
_base_ = ['../gradsplit/r18gn_3task_digits.py', '../_base_/methods/multihead.py']
optim_wrapper = _base_.multihead.optim_wrapper

digits = dict(ann_file='digit_test.txt', data_prefix='test')
photos = dict(ann_file='photo_test.txt', data_prefix='test')
custom_hooks = [
    dict(type='SummaryHook'),
    dict(
        type='RelationEstimateHook',
        interval=10,
        samples=32,
        held_out=dict(
            digit=dict(dataset=digits),
            photo=dict(dataset=photos),
            mask=dict(dataset=dict(data_root='data/digits/test')),
        ),
    ),
    dict(type='ConflictFrequencyHook', interval=100),
]
