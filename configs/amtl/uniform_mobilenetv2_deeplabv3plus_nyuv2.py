# Uniform weighting, MobileNetV2 and DeepLabV3+ with a shared ASPP (AMTL, Table F).
# Our choice, where the paper is silent: ASPP reads the last block, of stride 32, at a quarter of
# the rates of stride 8; the map of more detail has stride 8, as ResNet-50's.
_base_ = 'uniform_r50_deeplabv3plus_nyuv2.py'
model = dict(
    backbone=dict(
        backbone=dict(
            _delete_=True,
            type='mmpretrain.MobileNetV2',
            out_indices=(2, 6),
            init_cfg=dict(
                type='Pretrained',
                checkpoint='https://download.openmmlab.com/mmclassification/v0/mobilenet_v2/'
                'mobilenet_v2_batch256_imagenet_20200708-3b2dc3af.pth',
                prefix='backbone',
            ),
        ),
        neck=dict(
            in_channels=320,
            dilations=(3, 6, 9),
            low_level=dict(in_channels=32),
        ),
    ),
)
# The single-task networks of Table F, in percent where higher is better, else in metres or degrees.
# Replace them by your own. AMTL reads the accuracies, acc_mtl and delta_m all.
accuracies = {'seg/mIoU': 37.98, 'depth/delta1': 76.85, 'normal/11.25': 41.51}
references = dict(
    accuracies,
    **{
        'depth/rmse': dict(value=0.6323, lower_is_better=True),
        'normal/mean': dict(value=21.2734, lower_is_better=True),
        'normal/median': dict(value=14.8062, lower_is_better=True),
    },
)
val_cfg = dict(references=references)
test_cfg = dict(references=references)
