"""The losses that the papers use and no toolbox has."""

from .batch_hard_triplet import BatchHardTripletLoss
from .smooth_cross_entropy import SmoothCrossEntropyLoss

__all__ = ['BatchHardTripletLoss', 'SmoothCrossEntropyLoss']
