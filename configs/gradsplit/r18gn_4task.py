# GradSplit with the small backbone (Table 4): ResNet-18-GN.
_base_ = 'r50gn_4task.py'
model = dict(
    backbone=dict(depth=18, init_cfg=dict(checkpoint='torchvision://resnet18')),
    tasks=dict(
        attribute=dict(head=dict(in_channels=512)),
        reid=dict(head=dict(in_channels=512)),
        pose=dict(head=dict(in_channels=512)),
        parsing=dict(decode_head=dict(in_channels=512)),
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
