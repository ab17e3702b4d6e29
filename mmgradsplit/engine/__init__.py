"""Loops and hooks: which task, which batch, and what is watched.

May import the mathematics, mmengine, and models and optimizer wrappers through their interfaces.
"""

from .hooks import *  # noqa: F403
from .loops import *  # noqa: F403
