# VGG-11 with group normalisation (Table 5): features of four stages at strides 4, 8, 16 and 16, as
# of the ResNets, since the last pooling is left out.
# No ImageNet weights with GN are published for it: the convolutions start from the BN network's.
vgg11_gn = dict(
    type='mmpretrain.VGG',
    depth=11,
    out_indices=(1, 2, 3, 4),
    with_last_pool=False,
    norm_cfg=dict(type='GN', num_groups=32, requires_grad=True),
    init_cfg=dict(
        type='Pretrained',
        checkpoint='https://download.openmmlab.com/mmclassification/v0/vgg/'
        'vgg11_bn_batch256_imagenet_20210207-f244902c.pth',
        prefix='backbone.',
    ),
)
