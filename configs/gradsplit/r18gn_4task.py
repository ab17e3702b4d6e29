# GradSplit with the small backbone (Table 4): ResNet-18-GN.
_base_ = ['r50gn_4task.py', '../_base_/backbones/resnet18_gn.py']
model = dict(
    backbone=dict(_base_.resnet18_gn, _delete_=True),
    tasks=dict(
        attribute=dict(head=dict(in_channels=512)),
        reid=dict(head=dict(in_channels=512)),
        pose=dict(head=dict(in_channels=512)),
        parsing=dict(decode_head=dict(type='PSPHead', in_channels=512)),
    ),
)
# The single-task ResNet-18-GN of Table 2.
references = {
    'attribute/MA': 76.9,
    'reid/mAP': 74.9,
    'pose/PCK': 87.0,
    'parsing/mIoU': 42.4,
}
val_cfg = dict(references=references)
test_cfg = dict(references=references)
