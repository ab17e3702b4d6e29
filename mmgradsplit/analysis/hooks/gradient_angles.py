"""Angles between gradients in the course of joint training (STA, Figures 1 and 2).

May import mmengine, this room and the visualization room.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.dist import all_gather_object, is_main_process
from mmengine.runner import Runner

from mmgradsplit.analysis.gradient_angles import (
    ALLOCATIONS,
    MODULES,
    build_allocators,
    described,
    joined,
    measure_angles,
)
from mmgradsplit.analysis.task_batches import joint_dataloader
from mmgradsplit.analysis.task_gradients import multi_task
from mmgradsplit.registry import HOOKS
from mmgradsplit.utils import write_json
from mmgradsplit.visualization import draw_angles, save_figure

from .measurement import MeasurementHook

FILE, PICTURE = 'gradient_angles.json', 'gradient_angles.png'


@HOOKS.register_module()
class GradientAngleHook(MeasurementHook):
    """Measures angles between task gradients, and between successive steps, in joint training.

    At each interval the network as it stands is measured with several allocators, on the same
    batches and without an update, so they can be compared whatever the training itself allocates.
    The mean angle goes to the visualizer's back ends (TensorBoard, JSON) as
    ``angle/<allocator>/<module>/<task>-<task>``, the share above 90 degrees, that is, of conflicts,
    as ``angle_above_90/...``; successive steps as ``.../within`` (the sub-steps of an iteration of
    ISTA) and ``.../across`` (of two iterations). After training, ``gradient_angles.json`` in
    ``work_dir`` has all angles of all measurements, and ``gradient_angles.png`` the histograms of
    the last. In distributed training each process measures its own samples.

    Args:
        interval: Iterations from one measurement to the next.
        allocators: Allocators to compare: configs, or short forms such as ``'STA'`` or ``'STA:2'``.
        modules: Names, or patterns, of the backbone's modules. By default, the whole backbone.
        samples: Samples of a batch; by default the batch size of the training.
        repeats: Batches of a measurement, one after the other.

    Raises:
        ValueError: If it is no joint training, or a number or name does not fit.
    """

    def __init__(
        self,
        interval: int,
        allocators: Sequence[str | dict] = ALLOCATIONS,
        modules: Sequence[str] | None = None,
        samples: int | None = None,
        repeats: int = 20,
    ) -> None:
        super().__init__(interval, modules or MODULES, samples, repeats)
        self.allocators = allocators

    def dataloaders(self, runner: Runner, tasks: Sequence[str]) -> dict[str, Mapping]:
        """The dataloader config of the one stream of joint training."""
        self.built = build_allocators(self.allocators, tasks, f'{self.key}.allocators')
        return joint_dataloader(runner.cfg, self.key)

    def measure(self, runner: Runner, replica: Any, positions: range) -> None:
        """Measure the angles and log them."""
        annotations = runner.cfg.train_cfg.get('annotations')
        own = measure_angles(
            replica, self.batches, self.built, self.modules or MODULES, positions, annotations
        )
        found = described(joined(all_gather_object(own)))
        iteration = runner.iter + 1
        earlier = runner.message_hub.get_info(self.key, [])
        runner.message_hub.update_info(
            self.key, [*earlier, dict(iteration=iteration, allocators=found)]
        )
        runner.visualizer.add_scalars(_scalars(found), step=iteration)

    def after_train(self, runner: Runner) -> None:
        """Write all measurements and the picture."""
        measurements = runner.message_hub.get_info(self.key, [])
        if not (measurements and is_main_process()):
            return
        content = dict(
            config=Path(runner.cfg.filename).name if runner.cfg.filename else None,
            seed=runner.seed,
            tasks=list(multi_task(runner.model).tasks),
            samples=self.samples or runner.cfg.train_dataloader.batch_size,
            repeats=self.repeats,
            measurements=measurements,
        )
        write_json(Path(runner.work_dir, FILE), content)
        last = measurements[-1]
        title = f'Gradient angles at iteration {last["iteration"]}'
        save_figure(draw_angles(last['allocators'], title), Path(runner.work_dir, PICTURE))
        runner.logger.info(f'GradientAngleHook: {Path(runner.work_dir, FILE)} and {PICTURE}')


def _scalars(found: Mapping[str, Mapping]) -> dict[str, float]:
    scalars = {}
    for allocator, modules in found.items():
        for module, kinds in modules.items():
            for name, of in [item for kind in kinds.values() for item in kind.items()]:
                if of['count']:
                    scalars[f'angle/{allocator}/{module}/{name}'] = of['mean']
                    scalars[f'angle_above_90/{allocator}/{module}/{name}'] = of['above_90']
    return scalars
