# R50-GN+ (Table 7): ResNet-50-GN with more convolutions in layer4, 20.5M parameters more.
resnet50_gn_plus = dict(
    type='mmgradsplit.ResNetPlus',
    depth=50,
    num_stages=4,
    strides=(1, 2, 2, 1),
    out_indices=(0, 1, 2, 3),
    style='pytorch',
    norm_cfg=dict(type='GN', num_groups=32, requires_grad=True),
    init_cfg=dict(type='Pretrained', checkpoint='open-mmlab://contrib/resnet50_gn'),
)
