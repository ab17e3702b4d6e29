"""The keys of dataloaders and evaluators: data sets, pipelines, samplers and metrics."""

from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

from torch.utils.data import DataLoader

from mmgradsplit.engine.loops.repeats import REPEAT
from mmgradsplit.registry import DATA_SAMPLERS, DATASETS, METRICS, TRANSFORMS
from mmgradsplit.utils import did_you_mean
from mmgradsplit.utils.signatures import fits, parameters_of, unfit

from .typed_keys import typed_problems

# What mmengine and the loops take out of a dataloader's dict before the class is built.
LOADER = (
    'batch_sampler', 'collate_fn', 'dataset', 'disable_subprocess_warning', 'num_batch_per_epoch',
    'sampler', 'worker_init_fn', REPEAT,
)  # fmt: skip


def loader_problems(key: str, part: Any) -> Iterator[str]:
    """What is wrong with a dataloader, its data set and its samplers."""
    if not isinstance(part, Mapping):
        if part is None or isinstance(part, str | int | float | list | tuple):
            yield f'{key} must be a dict, got {part!r}'
        return
    own = {k: v for k, v in part.items() if k not in LOADER}
    known = [*parameters_of(DataLoader).named, *LOADER]
    for name in own:
        if name not in known:
            yield f'{key}.{name}: a dataloader has no such key{did_you_mean(name, known)}'
    for text in unfit(DataLoader, own):
        yield f'{key}.{text}'
    if 'batch_size' in part and not _is_number(part['batch_size']):
        yield f'{key}.batch_size must be a whole number of at least 1, got {part["batch_size"]!r}'
    for name in ('dataset', 'sampler'):
        if part.get(name) is None and not (name == 'sampler' and part.get('batch_sampler')):
            yield f'{key}.{name} is missing'
    if part.get('sampler') is not None:
        yield from typed_problems(f'{key}.sampler', part['sampler'], DATA_SAMPLERS)
    if part.get('batch_sampler') is not None:
        yield from typed_problems(f'{key}.batch_sampler', part['batch_sampler'], DATA_SAMPLERS)
    if part.get('dataset') is not None:
        yield from dataset_problems(f'{key}.dataset', part['dataset'])


def _is_number(value: Any) -> bool:
    return fits(value, int) and not isinstance(value, bool) and value >= 1


def dataset_problems(key: str, part: Any, scope: str | None = None) -> Iterator[str]:
    """What is wrong with a data set, its pipeline and what it wraps."""
    yield from typed_problems(key, part, DATASETS, scope=scope)
    if not isinstance(part, Mapping):
        return
    if not isinstance(part.get('data_root'), str | PurePath | None):
        yield f'{key}.data_root must be a folder, got {part["data_root"]!r}'
    prefix = part.get('data_prefix')
    for name, folder in prefix.items() if isinstance(prefix, Mapping) else ():
        if not isinstance(folder, str | PurePath):
            yield f'{key}.data_prefix.{name} must be a folder, got {folder!r}'
    scope = part.get('_scope_', scope)
    pipeline = part.get('pipeline')
    if pipeline is not None and not isinstance(pipeline, list | tuple):
        yield f'{key}.pipeline must be a list of steps, got {pipeline!r}'
        return
    for place, step in enumerate(pipeline or ()):
        yield from typed_problems(f'{key}.pipeline.{place}', step, TRANSFORMS, scope=scope)
    if isinstance(part.get('dataset'), Mapping):
        yield from dataset_problems(f'{key}.dataset', part['dataset'], scope)
    several = part.get('datasets')
    if isinstance(several, list | tuple):
        for place, each in enumerate(several):
            yield from dataset_problems(f'{key}.datasets.{place}', each, scope)


def evaluator_problems(key: str, part: Any) -> Iterator[str]:
    """What is wrong with a metric, or a list of them."""
    if isinstance(part, list | tuple):
        if not part:
            yield f'{key} is empty; name a metric'
        for place, each in enumerate(part):
            yield from typed_problems(f'{key}.{place}', each, METRICS)
    elif isinstance(part, Mapping) and 'metrics' in part:
        yield from evaluator_problems(f'{key}.metrics', part['metrics'])
    else:
        yield from typed_problems(key, part, METRICS)
