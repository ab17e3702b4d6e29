"""Multi-task training for OpenMMLab: one shared backbone, tasks that are whole upstream models.

Importing it checks that the toolboxes are there and fit together, and mends those of upstream's
imports that fail in usual surroundings. It imports neither torch nor a toolbox.
"""

from .compat.imports import mend_imports
from .compat.versions import check_versions
from .version import __version__

check_versions()
mend_imports()

__all__ = ['__version__']
