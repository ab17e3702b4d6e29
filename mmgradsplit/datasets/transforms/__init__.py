"""Transforms of images with several dense annotations."""

from .formatting import PackDenseInputs
from .geometry import RandomMirror, RandomZoom
from .loading import LoadDenseAnnotations, LoadImage, LoadLabelMap

__all__ = [
    'LoadDenseAnnotations',
    'LoadImage',
    'LoadLabelMap',
    'PackDenseInputs',
    'RandomMirror',
    'RandomZoom',
]
