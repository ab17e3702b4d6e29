"""The classes of the drawn scenes, those of NYUv2."""

from mmgradsplit.utils.nyuv2_classes import NYUV2_13

# In the segmentation files the position plus one is the label.
CLASSES = NYUV2_13
UNLABELLED = 0


def label(name: str) -> int:
    """Label of a class, one of :data:`CLASSES`, in the segmentation files: 1 to 13."""
    return CLASSES.index(name) + 1
