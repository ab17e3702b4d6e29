"""The losses that the paper uses and no toolbox has.

May import torch, mmengine and the registry.
"""

from .batch_hard_triplet import BatchHardTripletLoss

__all__ = ['BatchHardTripletLoss']
