"""What leaves the project: one task as a plain model of its own toolbox."""

from .toolbox import ExportedTask, export_task

__all__ = ['ExportedTask', 'export_task']
