"""Inference on anything: from pictures, videos and scenes to typed results and files."""

from .decode import decode
from .folder import draw_validation_images, predict_to_folder
from .gallery import Gallery
from .gallery_building import build_gallery
from .images import Frame, find_inputs
from .inferencer import Failure, MultiTaskInferencer
from .look import Look, look_of, weights_hash
from .matches import Match, Matches, find_matches, query_to_folder
from .overlay import draw_overlay
from .own_size import View, validation_views
from .people import BoxesFile, Detector, Found, PeopleFinder
from .results import Person, Result
from .task_results import (
    Attributes,
    Boxes,
    Classes,
    Embedding,
    Keypoints,
    LabelMap,
    PixelMap,
    Scores,
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
    'Gallery',
    'Keypoints',
    'LabelMap',
    'Look',
    'Match',
    'Matches',
    'MultiTaskInferencer',
    'PeopleFinder',
    'Person',
    'PixelMap',
    'Result',
    'Scores',
    'TaskResult',
    'ValueMap',
    'VectorMap',
    'View',
    'build_gallery',
    'decode',
    'draw_overlay',
    'draw_validation_images',
    'find_inputs',
    'find_matches',
    'look_of',
    'make_writers',
    'predict_to_folder',
    'query_to_folder',
    'validation_views',
    'weights_hash',
]
