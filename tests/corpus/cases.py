"""All cases."""

from . import attributes, boxes, images, label_maps, lists, numbers, people  # noqa: F401
from .case import CASES, Case

__all__ = ['CASES', 'Case']
