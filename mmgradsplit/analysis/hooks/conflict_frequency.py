"""How often task gradients conflict in the course of training (GradSplit, Figure 3).

May import mmengine, this room and the visualization room.
"""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dist import all_gather_object, is_main_process
from mmengine.runner import Runner

from mmgradsplit.analysis.conflicts import Layers, measure_cosines, summarize_cosines
from mmgradsplit.analysis.task_gradients import module_parameters
from mmgradsplit.registry import HOOKS
from mmgradsplit.utils import write_json
from mmgradsplit.visualization import draw_conflicts, save_figure

from .measurement import MeasurementHook

FILE, PICTURE = 'conflicts.json', 'conflicts.png'


@HOOKS.register_module()
class ConflictFrequencyHook(MeasurementHook):
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
        iteration = runner.iter + 1
        earlier = runner.message_hub.get_info(self.key, [])
        runner.message_hub.update_info(
            self.key, [*earlier, dict(iteration=iteration, layers=layers)]
        )
        runner.visualizer.add_scalars(_scalars(layers, list(replica.tasks)), step=iteration)

    def after_train(self, runner: Runner) -> None:
        """Write all measurements and the picture."""
        measurements = runner.message_hub.get_info(self.key, [])
        if not (measurements and is_main_process()):
            return
        tasks = list(self.batches.streams)
        content = dict(
            config=Path(runner.cfg.filename).name if runner.cfg.filename else None,
            seed=runner.seed,
            tasks=tasks,
            samples=self.samples,
            repeats=self.repeats,
            measurements=measurements,
        )
        write_json(Path(runner.work_dir, FILE), content)
        ends = (measurements[0], measurements[-1])
        rows = {f'iteration {of["iteration"]}': of['layers'] for of in ends}
        save_figure(draw_conflicts(rows, tasks), Path(runner.work_dir, PICTURE))
        runner.logger.info(f'ConflictFrequencyHook: {Path(runner.work_dir, FILE)} and {PICTURE}')


def _scalars(layers: Layers, tasks: Sequence[str]) -> dict[str, float]:
    return {
        f'conflict/{name}/{tasks[i]}-{tasks[j]}': of['frequency'][i][j]
        for name, of in layers.items()
        for i, j in itertools.combinations(range(len(tasks)), 2)
    }
