"""The names and codes of the pedestrian data sets: attributes, part labels, joints, part codes."""

import numpy as np
from numpy.typing import NDArray

ATTRIBUTES = (
    'Female', 'AgeOver60', 'Age18-60', 'AgeLess18', 'Front', 'Side', 'Back', 'Hat', 'Glasses',
    'HandBag', 'ShoulderBag', 'Backpack', 'HoldObjectsInFront', 'ShortSleeve', 'LongSleeve',
    'UpperStride', 'UpperLogo', 'UpperPlaid', 'UpperSplice', 'LowerStripe', 'LowerPattern',
    'LongCoat', 'Trousers', 'Shorts', 'Skirt&Dress', 'boots',
)  # fmt: skip
"""PA-100K's 26 attributes, spelled and ordered as in its ``annotation.mat``."""

PARTS = (
    'Background', 'Hat', 'Hair', 'Glove', 'Sunglasses', 'UpperClothes', 'Dress', 'Coat', 'Socks',
    'Pants', 'Jumpsuits', 'Scarf', 'Skirt', 'Face', 'Left-arm', 'Right-arm', 'Left-leg',
    'Right-leg', 'Left-shoe', 'Right-shoe',
)  # fmt: skip
"""LIP's 20 part labels; the position is the label in the segmentation files."""

JOINTS = (
    'right_ankle', 'right_knee', 'right_hip', 'left_hip', 'left_knee', 'left_ankle', 'pelvis',
    'thorax', 'upper_neck', 'head_top', 'right_wrist', 'right_elbow', 'right_shoulder',
    'left_shoulder', 'left_elbow', 'left_wrist',
)  # fmt: skip
"""MPII's 16 joints in the order of its annotation files."""

# Codes that the drawing writes beside LIP's labels 0..19. LIP has no label for what a person
# carries: there these are background.
HANDBAG, SHOULDER_BAG, BACKPACK, HELD_OBJECT, SEAT, LOGO = range(len(PARTS), len(PARTS) + 6)


def part(name: str) -> int:
    """LIP's label of a part, one of :data:`PARTS`: 0 to 19."""
    return PARTS.index(name)


def codes_to_lip(codes: NDArray[np.uint8], logo_label: int) -> NDArray[np.uint8]:
    """Turn the codes of a drawing, of any shape, into LIP's labels.

    Args:
        codes: Codes of the drawing.
        logo_label: The label of the garment that carries the logo.
    """
    table = np.zeros(256, np.uint8)
    table[: len(PARTS)] = np.arange(len(PARTS))
    table[LOGO] = logo_label
    return table[codes]
