# Dense prediction: SegNet, its encoder shared, a decoder a task (STA, Tables 1, 5 and 7).
_base_ = 'dense_r50_aspp.py'
_head = dict(
    _delete_=True,
    type='mmgradsplit.SegNetHead',
    in_channels=512,
    channels=64,
    dropout_ratio=0.0,
    norm_cfg=dict(type='BN'),
    align_corners=False,
)
_one = dict(_head, num_classes=1, out_channels=1, threshold=0.5)
model = dict(
    backbone=dict(
        _delete_=True,
        type='SegNetEncoder',
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://vgg16_bn'),
    ),
    tasks=dict(
        seg=dict(
            decode_head=dict(
                _head,
                num_classes=13,
                loss_decode=dict(type='mmseg.CrossEntropyLoss', avg_non_ignore=True),
            )
        ),
        depth=dict(decode_head=dict(head=_one)),
        disparity=dict(decode_head=dict(head=_one)),
        normal=dict(decode_head=dict(head=dict(_head, num_classes=3))),
    ),
)
del _head, _one
