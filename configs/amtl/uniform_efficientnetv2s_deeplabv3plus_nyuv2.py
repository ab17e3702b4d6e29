# Uniform weighting, EfficientNetV2-S and DeepLabV3+ with a shared ASPP (AMTL, Table G).
# Our choice, where the paper is silent: ASPP reads the last block, of stride 32, at a quarter of
# the rates of stride 8; the map of more detail has stride 8, as ResNet-50's.
_base_ = 'uniform_r50_deeplabv3plus_nyuv2.py'
_values = dict(data_preprocessor=dict(mean=[127.5] * 3, std=[127.5] * 3))  # of its ImageNet weights
model = dict(
    backbone=dict(
        backbone=dict(
            _delete_=True,
            type='mmpretrain.EfficientNetV2',
            arch='s',
            out_indices=(3, 6),
            init_cfg=dict(
                type='Pretrained',
                checkpoint='https://download.openmmlab.com/mmclassification/v0/efficientnetv2/'
                'efficientnetv2-s_3rdparty_in1k_20221220-f0eaff9d.pth',
                prefix='backbone',
            ),
        ),
        neck=dict(
            in_channels=256,
            dilations=(3, 6, 9),
            low_level=dict(in_channels=64),
        ),
    ),
    tasks=dict(seg=_values, depth=_values, normal=_values),
)
del _values
# The single-task networks of Table G, in percent where higher is better, else in metres or degrees.
# Replace them by your own. AMTL reads the accuracies, acc_mtl and delta_m all.
accuracies = {'seg/mIoU': 46.22, 'depth/delta1': 83.0, 'normal/11.25': 37.3}
references = dict(
    accuracies,
    **{
        'depth/rmse': dict(value=0.554, lower_is_better=True),
        'normal/mean': dict(value=21.3341, lower_is_better=True),
        'normal/median': dict(value=16.0052, lower_is_better=True),
    },
)
val_cfg = dict(references=references)
test_cfg = dict(references=references)
