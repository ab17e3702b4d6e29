"""Loops and hooks: which task, which batch, and what is watched.

May import the mathematics, mmengine, and models and optimizer wrappers through their interfaces.
"""

from .allocators import *  # noqa: F403
from .hooks import *  # noqa: F403
from .loops import *  # noqa: F403
