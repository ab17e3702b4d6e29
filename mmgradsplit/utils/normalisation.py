"""How a toolbox's data preprocessor normalises pictures, whatever it calls the parts."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

# What the preprocessors of the toolboxes call the change from BGR to RGB.
CONVERSIONS = ('to_rgb', '_channel_conversion', 'channel_conversion')


class Normalisation(NamedTuple):
    """``(picture - mean) / std``.

    Attributes:
        mean: shape [3 x 1 x 1], of pixels from 0 to 255.
        std: shape [3 x 1 x 1].
        converts: Whether the channels, BGR as pictures are read, are turned to RGB before.
    """

    mean: Tensor
    std: Tensor
    converts: bool

    @property
    def middle(self) -> np.ndarray:
        """The colour that comes nearest to zero, shape [3], BGR, uint8."""
        colour = self.mean.flatten().round().clamp(0, 255).to(torch.uint8).numpy()
        return colour[::-1].copy() if self.converts else colour


def normalisation_of(preprocessor: nn.Module) -> Normalisation:
    """How a data preprocessor of mmengine, mmpretrain, mmpose, mmseg or mmdet normalises."""
    mean, std = (getattr(preprocessor, name, None) for name in ('mean', 'std'))
    return Normalisation(
        torch.zeros(3, 1, 1) if mean is None else mean.detach().cpu().view(-1, 1, 1),
        torch.ones(3, 1, 1) if std is None else std.detach().cpu().view(-1, 1, 1),
        any(bool(getattr(preprocessor, name, False)) for name in CONVERSIONS),
    )
