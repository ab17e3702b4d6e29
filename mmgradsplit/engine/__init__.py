"""Loops and hooks: which task, which batch, and what is watched."""

from .allocators import *  # noqa: F403
from .hooks import *  # noqa: F403
from .loops import *  # noqa: F403
