"""The losses that the paper uses and no toolbox has."""

from .batch_hard_triplet import BatchHardTripletLoss

__all__ = ['BatchHardTripletLoss']
