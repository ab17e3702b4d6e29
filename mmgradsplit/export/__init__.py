"""What leaves the project: a task as a plain model of its toolbox, a checkpoint for others."""

from .publish import Published, publish
from .toolbox import ExportedTask, export_task

__all__ = ['ExportedTask', 'Published', 'export_task', 'publish']
