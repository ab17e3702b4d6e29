# ResNet-50 with group normalisation, from ImageNet weights where they can be downloaded.
# Layer4 keeps the size of its input: so the paper's FLOPs come out (Table 2).
resnet50_gn = dict(
    type='mmpretrain.ResNet',
    depth=50,
    num_stages=4,
    strides=(1, 2, 2, 1),
    out_indices=(0, 1, 2, 3),
    style='pytorch',
    norm_cfg=dict(type='GN', num_groups=32, requires_grad=True),
    init_cfg=dict(type='Pretrained', checkpoint='open-mmlab://contrib/resnet50_gn'),
)
