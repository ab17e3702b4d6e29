# ResNet-50 with batch normalisation by task, all else shared: inference needs a pass a task.
# Every task's norms start from those of the ImageNet network.
resnet50_tbn = dict(
    type='mmpretrain.ResNet',
    depth=50,
    num_stages=4,
    strides=(1, 2, 2, 1),
    out_indices=(0, 1, 2, 3),
    style='pytorch',
    norm_cfg=dict(type='mmgradsplit.TaskNorm'),
    init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet50'),
)
