"""Another pipeline for the data of a task, from some epoch on."""

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.dataset import Compose
from mmengine.hooks import Hook
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from mmgradsplit.registry import HOOKS
from mmgradsplit.utils import ConfigError, at_key

KEY = 'custom_hooks (TaskSwitchHook)'


@HOOKS.register_module()
class TaskSwitchHook(Hook):
    """Switches the pipelines of some tasks, as mmdet's ``PipelineSwitchHook`` does that of one.

    A run that is resumed after the switch trains on the new pipelines, too.

    Args:
        switch_epoch: First epoch of the new pipelines, counted from 0.
        pipelines: The new pipeline of each task that changes its own. Types are looked up in the
            scope of the task's data set.

    Raises:
        ConfigError: Before training, if a task is unknown or a pipeline cannot be built.
    """

    def __init__(self, switch_epoch: int, pipelines: Mapping[str, Sequence[Any]]) -> None:
        self.switch_epoch = switch_epoch
        self.pipelines = dict(pipelines)
        self.built: dict[str, Compose] = {}

    def before_train(self, runner: Runner) -> None:
        """Build the pipelines."""
        streams = getattr(runner.train_loop.dataloader, 'streams', {})
        loaders = runner.cfg.train_dataloader
        for task, steps in self.pipelines.items():
            key = f'{KEY}.pipelines.{task}'
            if task not in streams:
                raise ConfigError(f"{key}: no task '{task}' has a data set, only {list(streams)}")
            dataset = loaders.get(task, loaders).dataset
            if not hasattr(streams[task].dataset.dataset, 'pipeline'):
                kind = type(streams[task].dataset.dataset).__name__
                raise ConfigError(f'{key}: {kind} has no pipeline to switch')
            scope = dataset.get('_scope_') or runner.cfg.get('default_scope')
            with at_key(key, steps), DefaultScope.overwrite_default_scope(scope):
                self.built[task] = Compose(steps)

    def before_train_epoch(self, runner: Runner) -> None:
        """Switch, when it is time; batches that workers have read ahead are read again."""
        if runner.epoch < self.switch_epoch or not self.built:
            return
        for task, pipeline in self.built.items():
            stream = runner.train_loop.dataloader.streams[task]
            stream.close()
            stream.dataset.dataset.pipeline = pipeline
        runner.logger.info(
            f'TaskSwitchHook: from epoch {runner.epoch} on new pipelines for {[*self.built]}.'
        )
        self.built = {}
