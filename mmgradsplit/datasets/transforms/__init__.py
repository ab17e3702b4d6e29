"""Transforms of images with several dense annotations, and of persons in large pictures."""

from .formatting import PackDenseInputs
from .geometry import RandomMirror, RandomZoom
from .loading import LoadDenseAnnotations, LoadImage
from .persons import LoadReducedImage, QuickBBoxTransform, Straighten

__all__ = [
    'LoadDenseAnnotations',
    'LoadImage',
    'LoadReducedImage',
    'PackDenseInputs',
    'QuickBBoxTransform',
    'RandomMirror',
    'RandomZoom',
    'Straighten',
]
