"""What hooks have in common that measure task gradients beside the training."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmgradsplit.analysis.task_batches import TaskBatches, task_dataloaders
from mmgradsplit.analysis.task_gradients import module_parameters, multi_task, replica_of
from mmgradsplit.utils import config_name, write_json
from mmgradsplit.utils.tracing import without_trace
from mmgradsplit.visualization import save_figure


class MeasurementHook(Hook):
    """Measures at an interval, on a replica of the network and on batches of its own.

    It leaves no trace in training: the weights are bit for bit the same with and without it. What
    it draws depends on the seed and the iteration alone, and what it has measured is in the
    checkpoints, so a resumed run goes on as if it had not stopped. In distributed training every
    process measures, for a forward pass may exchange values between them.

    Args:
        interval: Major iterations from one measurement to the next.
        modules: Names, or patterns, of the backbone's modules on which gradients are compared; None
            for the first block of every stage.
        samples: Samples of a batch; None for the batch size of the training.
        repeats: Batches of a measurement.

    Raises:
        ValueError: If a number is not positive, a module name matches nothing, the model is no
            MultiTaskModel or a data set is smaller than a batch.
    """

    def __init__(
        self, interval: int, modules: Sequence[str] | None, samples: int | None, repeats: int
    ) -> None:
        self.interval, self.samples, self.repeats = interval, samples, repeats
        self.modules = [modules] if isinstance(modules, str) else modules
        for name in ('interval', 'samples', 'repeats'):
            value = getattr(self, name)
            if value is not None and not value >= 1:
                raise ValueError(f'{self.key}.{name} must be at least 1, got {value}')

    @property
    def key(self) -> str:
        """The hook in messages, and of what it has measured in checkpoints."""
        return f'custom_hooks.{type(self).__name__}'

    def before_train(self, runner: Runner) -> None:
        """Build the data sets; find what is wrong with the config."""
        model = multi_task(runner.model)
        module_parameters(model.backbone, self.modules, f'{self.key}.modules')
        dataloaders = self.dataloaders(runner, list(model.tasks))
        with without_trace(runner):
            self.build(runner, dataloaders)

    def dataloaders(self, runner: Runner, tasks: Sequence[str]) -> dict[str, Mapping]:
        """The dataloader config of each stream of the training; by default, of each task.

        Args:
            runner: mmengine's runner.
            tasks: Names of the tasks.

        Raises:
            ValueError: If the training is of another kind.
        """
        return task_dataloaders(runner.cfg, tasks, self.key)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Measure, where it is due."""
        if not self.every_n_train_iters(runner, self.interval):
            return
        number = (runner.iter + 1) // self.interval - 1
        positions = range(number * self.repeats, (number + 1) * self.repeats)
        with without_trace(runner):
            self.measure(runner, replica_of(runner.model), positions)

    def build(self, runner: Runner, dataloaders: Mapping[str, Mapping]) -> None:
        """Build what the measurements need.

        Args:
            runner: mmengine's runner.
            dataloaders: As :meth:`dataloaders` gives them.
        """
        self.batches = TaskBatches(dataloaders, self.samples, runner.seed)

    def measure(self, runner: Runner, replica: Any, positions: range) -> None:
        """Measure, and keep the result.

        Args:
            runner: mmengine's runner.
            replica: A copy of the MultiTaskModel, in the mode of the training.
            positions: The numbers of this measurement's repeats in the run.
        """
        raise NotImplementedError


class SeriesHook(MeasurementHook):
    """Base of the hooks that keep each measurement, and write all of them after training.

    Args:
        interval: As for :class:`MeasurementHook`, and the following ones.
        modules: Names, or patterns, of modules.
        samples: Samples of a batch.
        repeats: Batches of a measurement.

    Attributes:
        file: The file in ``work_dir`` that gets the measurements; the picture beside it has the
            same name, but for the suffix.
    """

    file: str

    def keep(self, runner: Runner, scalars: Mapping[str, float], **found: Any) -> None:
        """Keep a measurement for checkpoints and the file, and log its scalars.

        Args:
            runner: mmengine's runner.
            scalars: What the visualizer's back ends get, by name.
            **found: What was measured.
        """
        iteration = runner.iter + 1
        earlier = runner.message_hub.get_info(self.key, [])
        runner.message_hub.update_info(self.key, [*earlier, dict(iteration=iteration, **found)])
        runner.visualizer.add_scalars(dict(scalars), step=iteration)

    def after_train(self, runner: Runner) -> None:
        """Write all measurements and the picture."""
        measurements = runner.message_hub.get_info(self.key, [])
        if not (measurements and is_main_process()):
            return
        tasks = list(multi_task(runner.model).tasks)
        content = dict(
            config=config_name(runner.cfg),
            seed=runner.seed,
            tasks=tasks,
            samples=self.samples or runner.cfg.train_dataloader.batch_size,
            repeats=self.repeats,
            measurements=measurements,
        )
        path = Path(runner.work_dir, self.file)
        write_json(path, content)
        picture = save_figure(self.draw(measurements, tasks), path.with_suffix('.png'))
        runner.logger.info(f'{type(self).__name__}: {path} and {picture.name}')

    def draw(self, measurements: Sequence[Mapping[str, Any]], tasks: Sequence[str]) -> Figure:
        """The picture of all measurements.

        Args:
            measurements: What was kept, each with its ``iteration``.
            tasks: Names of the tasks.
        """
        raise NotImplementedError
