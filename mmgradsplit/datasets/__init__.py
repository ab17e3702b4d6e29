"""Data sets and samplers."""

from .csv_labels import CSVLabels
from .market1501 import Market1501
from .market1501_attributes import Market1501Attributes
from .multi_annotation import CityscapesScenes, MultiAnnotationDataset, NYUv2
from .pa100k import PA100K
from .samplers import RandomIdentitySampler
from .transforms import (
    LoadDenseAnnotations,
    LoadImage,
    LoadReducedImage,
    PackDenseInputs,
    QuickBBoxTransform,
    RandomMirror,
    RandomZoom,
    Straighten,
)

__all__ = [
    'PA100K',
    'CSVLabels',
    'CityscapesScenes',
    'LoadDenseAnnotations',
    'LoadImage',
    'LoadReducedImage',
    'Market1501',
    'Market1501Attributes',
    'MultiAnnotationDataset',
    'NYUv2',
    'PackDenseInputs',
    'QuickBBoxTransform',
    'RandomIdentitySampler',
    'RandomMirror',
    'RandomZoom',
    'Straighten',
]
