"""Transforms of images with several dense annotations, and of persons in large pictures."""

from .formatting import PackDenseInputs
from .geometry import RandomMirror, RandomZoom
from .loading import FindLabelMap, LoadDenseAnnotations, LoadImage, LoadLabelMap
from .persons import LoadReducedImage, QuickBBoxTransform, Straighten

__all__ = [
    'FindLabelMap',
    'LoadDenseAnnotations',
    'LoadImage',
    'LoadLabelMap',
    'LoadReducedImage',
    'PackDenseInputs',
    'QuickBBoxTransform',
    'RandomMirror',
    'RandomZoom',
    'Straighten',
]
