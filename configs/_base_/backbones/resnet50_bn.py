# ResNet-50 with batch normalisation, from ImageNet weights where they can be downloaded.
resnet50_bn = dict(
    type='mmpretrain.ResNet',
    depth=50,
    num_stages=4,
    strides=(1, 2, 2, 1),
    out_indices=(0, 1, 2, 3),
    style='pytorch',
    norm_cfg=dict(type='BN', requires_grad=True),
    init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet50'),
)
