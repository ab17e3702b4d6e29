# ResNet-18 with group normalisation. No ImageNet weights with GN are published for it: the
# convolutions start from those of the BN network, the norms from one and zero.
# Layer4 keeps the size of its input: so the paper's FLOPs come out (Table 2).
resnet18_gn = dict(
    type='mmpretrain.ResNet',
    depth=18,
    num_stages=4,
    strides=(1, 2, 2, 1),
    out_indices=(0, 1, 2, 3),
    style='pytorch',
    norm_cfg=dict(type='GN', num_groups=32, requires_grad=True),
    init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet18'),
)
