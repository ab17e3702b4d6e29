# R50-L4 (Table 7): ResNet-50-GN to layer3, and layer4 as the neck of each task's model.
resnet50_gn_layer3 = dict(
    type='mmpretrain.ResNet',
    depth=50,
    num_stages=3,
    strides=(1, 2, 2),
    dilations=(1, 1, 1),
    out_indices=(0, 1, 2),
    style='pytorch',
    norm_cfg=dict(type='GN', num_groups=32, requires_grad=True),
    init_cfg=dict(type='Pretrained', checkpoint='open-mmlab://contrib/resnet50_gn'),
)
resnet50_gn_layer4 = dict(
    type='mmgradsplit.ResNetStage',
    depth=50,
    stage=4,
    stride=1,
    norm_cfg=dict(type='GN', num_groups=32, requires_grad=True),
    init_cfg=dict(type='Pretrained', checkpoint='open-mmlab://contrib/resnet50_gn'),
)
