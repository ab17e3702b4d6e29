# NYUv2 as AMTL's code trains and measures on it: photometric distortion and sharpening, depth from
# 1 mm to 10 m with predictions clamped to it, normals by image.
_base_ = 'nyuv2_40.py'
_steps = _base_.train_dataloader.dataset.pipeline
train_dataloader = dict(
    dataset=dict(
        pipeline=[
            *_steps[:-1],
            dict(type='mmdet.PhotoMetricDistortion'),
            dict(type='mmpretrain.Sharpness', magnitude=1.0, prob=0.5, random_negative_prob=0.0),
            _steps[-1],
        ]
    )
)
val_evaluator = dict(
    depth=dict(min_value=0.001, max_value=10.0, clamp=True), normal=dict(average='image')
)
test_evaluator = val_evaluator
del _steps
