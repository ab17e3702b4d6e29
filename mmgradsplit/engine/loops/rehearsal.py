"""What a step and a validation would fail at, found before the first step.

Two samples of the first batch go through the loss of every task, and one batch through its
validation where the untrained network is not validated anyway. Neither leaves a trace.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any

import torch
from mmengine.dist import get_world_size
from mmengine.hooks import CheckpointHook, EarlyStoppingHook
from mmengine.optim import ReduceOnPlateauParamScheduler
from mmengine.runner import Runner
from torch import Tensor, nn

from mmgradsplit.utils import ConfigError, at_key, did_you_mean, unwrapped, without_trace
from mmgradsplit.utils.config_errors import at_module

from .batches import with_own_samples

SAMPLES = 2


def first_samples(batch: Mapping[str, Any], number: int = SAMPLES) -> dict[str, Any]:
    """The first samples of a batch; what is not by sample stays."""
    size = len(batch['data_samples'])
    return {
        name: part[:number]
        if isinstance(part, list | tuple | Tensor) and len(part) == size
        else part
        for name, part in batch.items()
    }


def rehearse_step(runner: Runner, name: str, batch: Mapping[str, Any]) -> None:
    """Compute the loss of a batch's first samples, without an update.

    Args:
        runner: mmengine's runner.
        name: Name of the module that computes it.
        batch: What ``compute_losses`` takes.

    Raises:
        ConfigError: If it cannot be computed, with the module's key.
    """
    model: Any = unwrapped(runner.model)

    def compute() -> None:
        # The wrapper of a task knows its precision after begin_step only; single precision will do.
        with torch.no_grad():
            model.compute_losses(with_own_samples(batch))

    with without_trace(runner), at_module(model, name):
        runner.model.eval()
        _confirmed(compute, lambda: _as_in_training(runner.model, compute))


def _confirmed(attempt: Callable[[], Any], again: Callable[[], Any]) -> Any:
    """Try the quick way first, and believe in an error only if the real way ends in one too."""
    try:
        return attempt()
    except Exception:
        return again()


def _as_in_training(model: nn.Module, compute: Callable[[], None]) -> None:
    """Compute in training mode, and take back what it leaves in buffers."""
    kept = {name: buffer.clone() for name, buffer in model.named_buffers()}
    try:
        model.train()
        compute()
    finally:
        for name, buffer in model.named_buffers():
            buffer.copy_(kept[name])


def rehearse_validation(runner: Runner) -> None:
    """Validate one batch of every task, where there has been no validation before.

    Raises:
        ConfigError: If a step of the pipeline, the network or an evaluator fails, or something
            follows a metric that is not measured.
    """
    loop: Any = runner.val_loop
    evaluator: Any = getattr(loop, 'evaluator', None)
    if not hasattr(evaluator, 'evaluators'):
        return  # none, or one of mmengine's
    if not evaluator.measured:
        with without_trace(runner):
            runner.model.eval()
            for task in evaluator.evaluators:
                _confirmed(
                    lambda task=task: _validate(loop, task, 1),  # type: ignore[misc]
                    lambda task=task: _validate(loop, task, None),  # type: ignore[misc]
                )
    if evaluator.measured:
        _check_followed(runner, evaluator)


def _validate(loop: Any, task: str, batches: int | None) -> None:
    """Validate a task, on all of its batches or on the first ones."""
    evaluator, number = loop.evaluator, 0
    for metric in evaluator.evaluators[task].metrics:
        metric.results.clear()
    with torch.no_grad():
        for index, batch in enumerate(islice(loop.dataloader.batches(task), batches)):
            number += len(batch['data_samples'])
            loop.run_iter(index, batch)
    if get_world_size() > 1:
        # The first process alone computes a metric: the others would wait for one that failed.
        for metric in evaluator.evaluators[task].metrics:
            metric.results.clear()
        return
    with at_key(f'{evaluator.key}.{task}'):
        found = evaluator.evaluators[task].evaluate(number)
    evaluator.measured.update(f'{task}/{name}' for name in found)


def _check_followed(runner: Runner, evaluator: Any) -> None:
    """Find what follows a metric that will not come.

    Raises:
        ConfigError: If there is such a thing.
    """
    sums = ['acc_mtl', 'delta_m'] if evaluator.references else []
    measured = [*sorted(evaluator.measured - {*sums}), *sums]
    tasks = {name.partition('/')[0] for name in measured}
    followed = dict(_followed(runner))
    followed.update(dict.fromkeys(evaluator.references, 'val_cfg.references'))
    for name, key in followed.items():
        task, slash, _ = name.partition('/')
        # Of a network that detects nothing, mmdet's metrics measure nothing.
        silent = slash and task in evaluator.evaluators and task not in tasks
        if name not in measured and not silent:
            hint = did_you_mean(name, measured)
            raise ConfigError(f"{key}: '{name}' is not measured; the metrics are {measured}{hint}")
    evaluator.followed = list(followed)


def _followed(runner: Runner) -> Iterator[tuple[str, str]]:
    """What is followed, and the key that says so."""
    for hook in runner.hooks:
        if isinstance(hook, CheckpointHook) and hook.save_best:
            yield from ((name, 'default_hooks.checkpoint.save_best') for name in hook.save_best)
        elif isinstance(hook, EarlyStoppingHook):
            yield hook.monitor, 'custom_hooks (EarlyStoppingHook).monitor'
    schedules: Any = runner.param_schedulers or []
    by_name = schedules.values() if isinstance(schedules, Mapping) else [schedules]
    for schedule in (each for several in by_name for each in several):
        if isinstance(schedule, ReduceOnPlateauParamScheduler):
            yield schedule.monitor, 'param_scheduler.monitor'
    weighting = getattr(runner.optim_wrapper, 'weighting', None)
    for name in getattr(weighting, 'metrics', ()):
        yield name, 'optim_wrapper.weighting'
