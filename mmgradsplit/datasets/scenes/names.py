"""The classes of the drawn scenes. Standard library only."""

CLASSES = (
    'bed', 'books', 'ceiling', 'chair', 'floor', 'furniture', 'objects', 'picture', 'sofa',
    'table', 'tv', 'wall', 'window',
)  # fmt: skip
"""NYUv2's 13 classes; in the segmentation files the position plus one is the label."""

UNLABELLED = 0


def label(name: str) -> int:
    """Label of a class in the segmentation files.

    Args:
        name: One of :data:`CLASSES`.

    Returns:
        The label, 1 to 13.
    """
    return CLASSES.index(name) + 1
