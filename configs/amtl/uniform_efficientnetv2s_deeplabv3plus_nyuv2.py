# Uniform weighting, EfficientNetV2-S and DeepLabV3+ with a shared ASPP (AMTL, Table G).
# As in AMTL's code: ASPP, with the rates 6, 12 and 18, reads the last block, of stride 32; 48
# channels are made of the map of more detail, of stride 8; labels are not smoothed.
_base_ = 'uniform_r50_deeplabv3plus_nyuv2.py'
_values = dict(data_preprocessor=dict(mean=[127.5] * 3, std=[127.5] * 3))  # of its ImageNet weights
_head = dict(in_channels=[48, 256])
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
            dilations=(6, 12, 18),
            low_level=dict(in_channels=64, channels=48),
        ),
    ),
    tasks=dict(
        seg=dict(_values, decode_head=dict(_head, loss_decode=dict(label_smoothing=0.0))),
        depth=dict(_values, decode_head=dict(head=_head)),
        normal=dict(_values, decode_head=dict(head=_head)),
    ),
)
del _values, _head
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
