"""How often task gradients conflict in the course of training (GradSplit, Figure 3)."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from mmengine.dist import all_gather_object
from mmengine.runner import Runner

from mmgradsplit.analysis.conflicts import Layers, measure_cosines, summarize_cosines
from mmgradsplit.analysis.task_gradients import module_parameters
from mmgradsplit.registry import HOOKS
from mmgradsplit.visualization import draw_conflicts

from .measurement import SeriesHook


@HOOKS.register_module()
class ConflictFrequencyHook(SeriesHook):
    """Measures how often the gradients of two tasks conflict, layer by layer.

    At each interval the frequencies go to the visualizer's back ends (TensorBoard, JSON) as
    ``conflict/<module>/<task>-<task>``. After training, ``conflicts.json`` in ``work_dir`` has all
    measurements, and ``conflicts.png`` shows the first and the last.

    Args:
        interval: Major iterations from one measurement to the next.
        modules: Names, or patterns, of the backbone's modules. By default, the first block of every
            stage.
        samples: Samples of a batch. The paper: 16.
        repeats: Batches of a measurement. The paper: 20.
    """

    file = 'conflicts.json'

    def __init__(
        self,
        interval: int,
        modules: Sequence[str] | None = None,
        samples: int = 16,
        repeats: int = 20,
    ) -> None:
        super().__init__(interval, modules, samples, repeats)

    def measure(self, runner: Runner, replica: Any, positions: range) -> None:
        """Measure the frequencies and log them."""
        parameters = module_parameters(replica.backbone, self.modules)
        own = measure_cosines(replica, self.batches, parameters, positions)
        parts = all_gather_object(own)
        layers = summarize_cosines({name: np.concatenate([p[name] for p in parts]) for name in own})
        self.keep(runner, _scalars(layers, list(replica.tasks)), layers=layers)

    def draw(self, measurements: Sequence[Mapping[str, Any]], tasks: Sequence[str]) -> Figure:
        """The maps of the first and of the last measurement."""
        ends = (measurements[0], measurements[-1])
        return draw_conflicts({f'iteration {of["iteration"]}': of['layers'] for of in ends}, tasks)


def _scalars(layers: Layers, tasks: Sequence[str]) -> dict[str, float]:
    return {
        f'conflict/{name}/{tasks[i]}-{tasks[j]}': of['frequency'][i][j]
        for name, of in layers.items()
        for i, j in itertools.combinations(range(len(tasks)), 2)
    }
