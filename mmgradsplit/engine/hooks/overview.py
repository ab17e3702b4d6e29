"""The first screen of a run: what is trained or tested, on what, and where the results go."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.device import get_device
from mmengine.dist import get_world_size, master_only
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapperDict
from mmengine.runner import IterBasedTrainLoop, Runner
from torch import nn

from mmgradsplit.utils import config_name, unwrapped
from mmgradsplit.utils.tables import TextTable

from .remarks import remarks


class OverviewHook(Hook):
    """Shows the tasks with their data, the method, the network, and where the results go.

    :func:`mmgradsplit.apis.train` and :func:`mmgradsplit.apis.evaluate` register it. What it shows
    goes into the log, and so to the screen of the first process alone.

    Args:
        notices: What else there is to say before training, in sentences.
    """

    priority = 'HIGH'  # before hooks that take their time, such as SummaryHook

    def __init__(self, notices: Sequence[str] = ()) -> None:
        self.notices = list(notices)

    def before_train(self, runner: Runner) -> None:
        """Show what is trained."""
        facts = {
            'Training': _schedule(runner),
            'Method': _method(runner.optim_wrapper),
            **_governed(runner.optim_wrapper, unwrapped(runner.model)),
        }
        loops = dict(training=runner.train_loop, validation=runner.val_loop)
        self._show(runner, loops, facts, [*remarks(runner)])

    def before_test(self, runner: Runner) -> None:
        """Show what is tested."""
        self._show(runner, dict(test=runner.test_loop), {'Checkpoint': runner.cfg.load_from})

    @master_only
    def _show(
        self,
        runner: Runner,
        loops: Mapping[str, Any],
        facts: Mapping[str, str],
        also: Sequence[str] = (),
    ) -> None:
        model: Any = unwrapped(runner.model)
        tasks = list(getattr(model, 'tasks', ()))
        title = config_name(runner.cfg) or 'A config without a file'
        facts = {
            **facts,
            'Network': _network(model, tasks),
            'Device': _device(),
            'Results': _results(runner),
        }
        width = max(map(len, facts)) + 2
        parts = [
            f'{title}: {len(tasks)} tasks' if tasks else title,
            _data(loops, tasks).markdown(),
            *_mask(runner.optim_wrapper, tasks),
            '\n'.join(f'{name + ":":{width}}{text}' for name, text in facts.items()),
            *also,
            *self.notices,
        ]
        runner.logger.info('\n\n'.join(parts) + '\n')


def _data(loops: Mapping[str, Any], tasks: Sequence[str]) -> TextTable:
    """A row for each task, or for all of them where they have one data set."""
    steps = _steps(loops.get('training'))
    columns = {stage: _loaders(loop, tasks) for stage, loop in loops.items() if loop is not None}
    rows = []
    for name in dict.fromkeys(name for loaders in columns.values() for name in loaders):
        loaders = {stage: found[name] for stage, found in columns.items() if name in found}
        data_set = _data_set(next(iter(loaders.values())))
        row = [name, data_set]
        for stage in columns:
            if stage not in loaders:
                row += ['-'] * (2 + bool(steps) if stage == 'training' else 1)
                continue
            loader, own = loaders[stage], _data_set(loaders[stage])
            row.append(f'{len(loader.dataset):,}' + (f' of {own}' if own != data_set else ''))
            if stage == 'training':
                row.append(f'{loader.batch_size or "-"}' + _times(get_world_size()))
                row += [str(steps[name])] if steps else []
        rows.append(row)
    headings = ['task', 'data set']
    for stage in columns:
        headings.append(f'{stage} samples')
        if stage == 'training':
            headings += ['batch size', *(['steps'] if steps else [])]
    return TextTable(headings, rows, words=headings[:2])


def _loaders(loop: Any, tasks: Sequence[str]) -> dict[str, Any]:
    """What has ``dataset`` and ``batch_size``, by task or by the names of all tasks."""
    together = ', '.join(tasks) or '-'
    loader = loop.dataloader
    by_task = getattr(loader, 'streams', None) or getattr(loader, 'dataloaders', {together: loader})
    return {name if name in tasks else together: each for name, each in by_task.items()}


def _steps(loop: Any) -> dict[str, int]:
    """Task steps of each task in a major iteration, where one has several."""
    repeats = getattr(getattr(loop, 'dataloader', None), 'repeats', {})
    return repeats if any(number > 1 for number in repeats.values()) else {}


def _data_set(loader: Any) -> str:
    """The data set; where it is joined of several, each with its number of samples."""
    data = loader.dataset
    if hasattr(data, 'task'):  # a TaskDataset
        data = data.dataset
    parts = getattr(data, 'datasets', None)
    if not parts:
        return _named(data)
    rates = getattr(loader, 'rates', None) or [None] * len(parts)
    return ' + '.join(
        f'{_named(part)} ({len(part):,}' + (f', rate {rate:g})' if rate is not None else ')')
        for part, rate in zip(parts, rates, strict=True)
    )


def _named(data: Any) -> str:
    times = getattr(data, 'times', None)
    if times is not None and hasattr(data, 'dataset'):  # mmengine's RepeatDataset
        return f'{times} x {_named(data.dataset)}'
    root = getattr(data, 'data_root', None)
    return type(data).__name__ + (f', {root}' if root else '')


def _times(processes: int) -> str:
    return f' x {processes}' if processes > 1 else ''


def _schedule(runner: Runner) -> str:
    loop: Any = runner.train_loop
    allocator = getattr(loop, 'allocator', None)
    by = f' with {type(allocator).__name__}' if allocator else ''
    epochs = '' if isinstance(loop, IterBasedTrainLoop) else f'{loop.max_epochs:,} epochs, '
    done = f', {runner.iter:,} of them done' if runner.iter else ''
    text = f'{type(loop).__name__}{by}, {epochs}{loop.max_iters:,} iterations{done}'
    if runner.val_loop is None:
        return f'{text}; no validation'
    unit = 'epochs' if epochs else 'iterations'
    return f'{text}; validation every {loop.val_interval:,} {unit}'


def _method(wrapper: Any) -> str:
    several = isinstance(wrapper, OptimWrapperDict)
    optimizers = [each.optimizer for each in wrapper.values()] if several else [wrapper.optimizer]
    kinds = ', '.join(dict.fromkeys(type(each).__name__ for each in optimizers))
    group = optimizers[0].param_groups[0]
    rate = group.get('initial_lr', group['lr'])  # a schedule may have begun
    each = ', one for each task' if len(optimizers) > 1 else ''
    return f'{getattr(wrapper, "method", type(wrapper).__name__)}; {kinds}{each}, lr {rate:g}'


def _mask(wrapper: Any, tasks: Sequence[str]) -> Iterator[str]:
    """The relation mask of GradSplit as a table, where there is one."""
    if hasattr(wrapper, 'mask'):
        rows = [
            [task, *('yes' if trains else 'no' for trains in row)]
            for task, row in zip(tasks, wrapper.mask, strict=True)
        ]
        table = TextTable(['filters of', *tasks], rows, words=['filters of'])
        yield f'Relation mask: whose filters are trained in the steps of\n\n{table.markdown()}'


def _governed(wrapper: Any, model: Any) -> dict[str, str]:
    """How many weights the relation mask governs, and how many it keeps from a task."""
    if not hasattr(wrapper, 'mask'):
        return {}
    backbone = _size(model.backbone)
    governed, kept = wrapper.governed()
    return {
        'Mask': f"governs {governed:,} of the backbone's {backbone:,} weights "
        f'({governed / backbone:.1%}); {kept:,} are kept from one task or more'
    }


def _network(model: Any, tasks: Sequence[str]) -> str:
    text = f'{type(model).__name__}, {_size(model):,} parameters'
    if hasattr(model, 'own_parameters'):
        shared = model.backbone
        own = (f'{task} {_total(model.own_parameters(task)):,}' for task in tasks)
        text += f'; {type(shared).__name__} {_size(shared):,}, {", ".join(own)}'
    return text


def _size(module: nn.Module) -> int:
    return _total(module.parameters())


def _total(parameters: Iterable[nn.Parameter]) -> int:
    return sum(parameter.numel() for parameter in parameters)


def _device() -> str:
    device, processes = get_device(), get_world_size()
    name = (
        torch.cuda.get_device_name() if device == 'cuda' else f'{torch.get_num_threads()} threads'
    )
    return f'{device} ({name})' + (f', {processes} processes' if processes > 1 else '')


def _results(runner: Runner) -> str:
    """The work dir, and where in it the config and the log file are."""
    folder = Path(runner.work_dir)
    files = [f'config {config_name(runner.cfg) or runner.timestamp + ".py"}']
    for handler in runner.logger.handlers:
        if isinstance(handler, logging.FileHandler):
            files.append(f'log {_below(folder, Path(handler.baseFilename))}')
    return f'{_below(Path.cwd(), folder)}: {", ".join(files)}'


def _below(folder: Path, path: Path) -> Path:
    """A path as it is seen from a folder that has it; otherwise, as it is."""
    return path.relative_to(folder) if path.is_relative_to(folder) else path
