"""What leaves the project: plain models of toolboxes, graphs, checkpoints."""

from .graph import ExportedGraph, export_graph
from .publish import Published, publish
from .task_graph import TaskGraph
from .toolbox import ExportedTask, export_task, export_tasks

__all__ = [
    'ExportedGraph',
    'ExportedTask',
    'Published',
    'TaskGraph',
    'export_graph',
    'export_task',
    'export_tasks',
    'publish',
]
