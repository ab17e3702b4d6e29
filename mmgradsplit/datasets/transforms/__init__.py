"""Transforms of images with several dense annotations. May import mmcv, mmseg and the registry."""

from .formatting import PackDenseInputs
from .geometry import RandomMirror, RandomZoom
from .loading import LoadDenseAnnotations, LoadImage

__all__ = [
    'LoadDenseAnnotations',
    'LoadImage',
    'PackDenseInputs',
    'RandomMirror',
    'RandomZoom',
]
