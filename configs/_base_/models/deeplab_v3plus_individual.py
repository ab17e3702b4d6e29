# DeepLabV3+ with an ASPP of its own for each task (AMTL, Table B): a head reads ASPP's output along
# with layer2's, which has the same stride of 8 and 512 channels, 256 behind a 1x1 convolution.
_base_ = 'deeplab_v3_individual.py'
_neck = dict(low_level=dict(index=0, in_channels=512, channels=256))
_head = dict(in_channels=[256, 256], in_index=[0, 1], input_transform='resize_concat')
model = dict(
    backbone=dict(out_indices=(1, 3)),
    tasks=dict(
        seg=dict(neck=_neck, decode_head=_head),
        depth=dict(neck=_neck, decode_head=dict(head=_head)),
        normal=dict(neck=_neck, decode_head=dict(head=_head)),
    ),
)
del _neck, _head
