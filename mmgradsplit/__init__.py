"""Multi-task training for OpenMMLab: one shared backbone, tasks that are whole upstream models.

Importing it checks that the toolboxes are there, fit together and load.
"""

from ._versions import check_environment
from .version import __version__

check_environment()

__all__ = ['__version__']
