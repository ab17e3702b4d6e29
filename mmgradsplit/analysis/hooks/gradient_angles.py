"""Angles between gradients in the course of joint training (STA, Figures 1 and 2)."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from mmengine.dist import all_gather_object
from mmengine.runner import Runner

from mmgradsplit.analysis.angles import (
    ALLOCATIONS,
    MODULES,
    build_allocators,
    described,
    joined,
    measure_angles,
)
from mmgradsplit.analysis.task_batches import joint_dataloader
from mmgradsplit.optim import build_weighting
from mmgradsplit.registry import HOOKS
from mmgradsplit.visualization import draw_angles

from .measurement import SeriesHook


@HOOKS.register_module()
class GradientAngleHook(SeriesHook):
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

    file = 'gradient_angles.json'

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
        weighting = copy.deepcopy(getattr(runner.optim_wrapper, 'weighting', None))
        if weighting is None:  # a wrapper of mmengine's
            weighting = build_weighting(None, list(replica.tasks), replica.loss_weights)
        weighting.link(replica.backbone)
        annotations = runner.cfg.train_cfg.get('annotations')
        modules = self.modules or MODULES
        own = measure_angles(
            replica, weighting, self.batches, self.built, modules, positions, annotations
        )
        found = described(joined(all_gather_object(own)))
        self.keep(runner, _scalars(found), allocators=found)

    def draw(self, measurements: Sequence[Mapping[str, Any]], tasks: Sequence[str]) -> Figure:
        """The histograms of the last measurement."""
        last = measurements[-1]
        return draw_angles(last['allocators'], f'Gradient angles at iteration {last["iteration"]}')


def _scalars(found: Mapping[str, Mapping]) -> dict[str, float]:
    scalars = {}
    for allocator, modules in found.items():
        for module, kinds in modules.items():
            for name, of in [item for kind in kinds.values() for item in kind.items()]:
                if of['count']:
                    scalars[f'angle/{allocator}/{module}/{name}'] = of['mean']
                    scalars[f'angle_above_90/{allocator}/{module}/{name}'] = of['above_90']
    return scalars
