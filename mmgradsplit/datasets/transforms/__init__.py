"""Transforms of images with several dense annotations."""

from .formatting import PackDenseInputs
from .geometry import RandomMirror, RandomZoom
from .loading import FindLabelMap, LoadDenseAnnotations, LoadImage, LoadLabelMap

__all__ = [
    'FindLabelMap',
    'LoadDenseAnnotations',
    'LoadImage',
    'LoadLabelMap',
    'PackDenseInputs',
    'RandomMirror',
    'RandomZoom',
]
