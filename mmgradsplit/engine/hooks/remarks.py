"""What is legal in a training, but worth a second look: said once, before it begins."""

import fnmatch
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from mmengine.dist import get_world_size
from mmengine.runner import Runner

from mmgradsplit.utils import unwrapped

# How many times as often one data set may be seen as another.
UNLIKE = 20
# Data sets of more samples are not read for it; `mmgradsplit check` reads all.
FEW = 5000
# Share of the weights of its modules below which a relation mask governs little.
LITTLE = 0.25


def remarks(runner: Runner) -> Iterator[str]:
    """Sentences about the schedule, the data and the relation mask of a training.

    Args:
        runner: mmengine's runner, before the training.
    """
    streams = getattr(runner.train_loop.dataloader, 'streams', {})
    yield from _passes(streams, runner.max_iters)
    for task, stream in streams.items():
        yield from _classes(task, stream.dataset.dataset)
    yield from _mask(runner)


def _passes(streams: Mapping[str, Any], iterations: int) -> Iterator[str]:
    """Data sets that are seen much more often than others."""
    seen = {
        task: iterations * stream.batch_size * get_world_size() / len(stream.dataset)
        for task, stream in streams.items()
        if stream.batch_size
    }
    if len(seen) > 1 and max(seen.values()) > UNLIKE * min(seen.values()):
        often, rarely = (
            max(seen, key=lambda task: seen[task]),
            min(seen, key=lambda task: seen[task]),
        )
        yield (
            f'The schedule goes {seen[often]:,.1f} times through the data of {often}, but '
            f'{seen[rarely]:,.1f} times through those of {rarely}: {often} may overfit long before '
            f'{rarely} has been learned.'
        )


def _classes(task: str, dataset: Any) -> Iterator[str]:
    """Classes that no sample of a data set has."""
    names = (getattr(dataset, 'metainfo', None) or {}).get('classes')
    if not names or not hasattr(dataset, 'get_data_info') or len(dataset) > FEW:
        return
    found: set[int] = set()
    for index in range(len(dataset)):
        label = dataset.get_data_info(index).get('gt_label')
        if label is None:
            return
        found.update(np.ravel(label).astype(int).tolist())
    missing = [str(name) for number, name in enumerate(names) if number not in found]
    if missing:
        yield f'No training sample of {task} has the class {", ".join(missing)}.'


def _mask(runner: Runner) -> Iterator[str]:
    """A relation mask that has little, or nothing, to govern."""
    wrapper: Any = runner.optim_wrapper
    if not hasattr(wrapper, 'mask') or wrapper.mask.all():
        return
    patterns = runner.cfg.optim_wrapper.get('modules', ['layer4'])
    patterns = [patterns] if isinstance(patterns, str) else patterns
    backbone: Any = unwrapped(runner.model).backbone
    inside = {
        id(param): param
        for name, module in backbone.named_modules()
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
        for param in module.parameters()
    }
    total = sum(param.numel() for param in inside.values())
    trained = sum(param.numel() for param in inside.values() if param.requires_grad)
    governed, _ = wrapper.governed()
    if total and not trained:
        yield (
            f'The backbone is frozen in {", ".join(patterns)} (optim_wrapper.modules), so the '
            f'relation mask changes nothing.'
        )
    elif governed < LITTLE * total:
        yield (
            f'The relation mask governs {governed:,} of the {total:,} weights in '
            f'{", ".join(patterns)} (optim_wrapper.modules): only convolutions are split, and the '
            f'rest of them is trained by every task.'
        )
