"""Procedurally drawn rooms with segmentation, depth and surface normals, in the files of NYUv2."""

from .make import make_scenes
from .names import CLASSES

__all__ = ['CLASSES', 'make_scenes']
