"""Data sets and samplers."""

from .checking import CheckedPipeline
from .csv_labels import CSVLabels
from .joined import JoinedDataset
from .market1501 import Market1501
from .market1501_attributes import Market1501Attributes
from .mpii import MPII
from .multi_annotation import CityscapesScenes, MultiAnnotationDataset, NYUv2
from .pa100k import PA100K
from .samplers import RandomIdentitySampler
from .transforms import (
    FindLabelMap,
    LoadDenseAnnotations,
    LoadImage,
    LoadLabelMap,
    LoadReducedImage,
    PackDenseInputs,
    QuickBBoxTransform,
    RandomMirror,
    RandomZoom,
    Straighten,
)

__all__ = [
    'MPII',
    'PA100K',
    'CSVLabels',
    'CheckedPipeline',
    'CityscapesScenes',
    'FindLabelMap',
    'JoinedDataset',
    'LoadDenseAnnotations',
    'LoadImage',
    'LoadLabelMap',
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
