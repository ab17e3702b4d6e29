# DeepLabV3+ with one ASPP for all tasks (AMTL, supplement A.1): what each had is the backbone's.
_base_ = 'deeplab_v3plus_individual.py'
model = dict(
    backbone=dict(
        _delete_=True,
        type='BackboneWithNeck',
        backbone={{_base_.model.backbone}},
        neck={{_base_.model.tasks.seg.neck}},
    ),
    tasks=dict(seg=dict(neck=None), depth=dict(neck=None), normal=dict(neck=None)),
)
