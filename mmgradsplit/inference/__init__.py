"""Inference on anything: from pictures, videos and scenes to typed results and files."""

from .decode import decode
from .folder import draw_validation_images, predict_to_folder
from .images import Frame, find_inputs
from .inferencer import Failure, MultiTaskInferencer
from .overlay import draw_overlay
from .own_size import View, validation_views
from .people import BoxesFile, Detector, Found, PeopleFinder
from .results import (
    Attributes,
    Boxes,
    Classes,
    Embedding,
    Keypoints,
    LabelMap,
    Person,
    Result,
    TaskResult,
    ValueMap,
    VectorMap,
)
from .writers import WRITERS, make_writers

__all__ = [
    'WRITERS',
    'Attributes',
    'Boxes',
    'BoxesFile',
    'Classes',
    'Detector',
    'Embedding',
    'Failure',
    'Found',
    'Frame',
    'Keypoints',
    'LabelMap',
    'MultiTaskInferencer',
    'PeopleFinder',
    'Person',
    'Result',
    'TaskResult',
    'ValueMap',
    'VectorMap',
    'View',
    'decode',
    'draw_overlay',
    'draw_validation_images',
    'find_inputs',
    'make_writers',
    'predict_to_folder',
    'validation_views',
]
