# Uniform weighting, MobileNetV2 and DeepLabV3+ with a shared ASPP (AMTL, Table F).
# As in AMTL's code: ASPP, with the rates 6, 12 and 18, reads the last layer of stride 32, of 1280
# channels; 48 are made of the map of more detail, of stride 8; labels are not smoothed.
_base_ = 'uniform_r50_deeplabv3plus_nyuv2.py'
_head = dict(in_channels=[48, 256])
model = dict(
    backbone=dict(
        backbone=dict(
            _delete_=True,
            type='mmpretrain.MobileNetV2',
            out_indices=(2, 7),
            init_cfg=dict(
                type='Pretrained',
                checkpoint='https://download.openmmlab.com/mmclassification/v0/mobilenet_v2/'
                'mobilenet_v2_batch256_imagenet_20200708-3b2dc3af.pth',
                prefix='backbone',
            ),
        ),
        neck=dict(
            in_channels=1280,
            dilations=(6, 12, 18),
            low_level=dict(in_channels=32, channels=48),
        ),
    ),
    tasks=dict(
        seg=dict(decode_head=dict(_head, loss_decode=dict(label_smoothing=0.0))),
        depth=dict(decode_head=dict(head=_head)),
        normal=dict(decode_head=dict(head=_head)),
    ),
)
del _head
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
