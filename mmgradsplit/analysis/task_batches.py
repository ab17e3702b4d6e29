"""Batches for measurements beside the training."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.runner import Runner

from mmgradsplit.apis.methods import trains_jointly
from mmgradsplit.engine.loops.dataloaders import dataset_reading
from mmgradsplit.engine.loops.joint import STREAM
from mmgradsplit.engine.loops.reading import check_while_reading
from mmgradsplit.engine.loops.repeats import without_repeat
from mmgradsplit.engine.loops.streams import TaskStream

__all__ = ['STREAM', 'TaskBatches', 'joint_dataloader', 'resized', 'task_dataloaders']


class TaskBatches:
    """Batches of all streams that are a function of the seed and the position alone.

    In round-robin training each task is a stream; joint training has one, see
    :func:`joint_dataloader`. With the training's seed and batch size, its batches are the first of
    the training.

    The data sets are built anew, so the training's dataloaders stay where they are. The samples are
    loaded in this process.

    Args:
        dataloaders: Each stream's dataloader config, in the form of ``train_dataloader``.
        samples: Samples of a batch; by default the configs' own batch size. A sampler that draws
            several images of each identity keeps the number of identities, as far as two images
            remain for each.
        seed: Seed of the order and the augmentations.

    Raises:
        FileNotFoundError: If a data folder is not there.
        ValueError: If a data set has fewer samples than a batch.
    """

    def __init__(self, dataloaders: Mapping[str, Mapping], samples: int | None, seed: int) -> None:
        self.seed = seed
        self.streams = {
            name: _stream(name, config, samples or config['batch_size'], seed)
            for name, config in dataloaders.items()
        }

    def at(self, position: int) -> dict[str, Any]:
        """The batch of each stream at a position, from 0 on."""
        for stream in self.streams.values():
            stream.seek(position, self.seed)
        return {name: next(stream) for name, stream in self.streams.items()}


def task_dataloaders(cfg: Any, tasks: Sequence[str], key: str) -> dict[str, Mapping]:
    """The dataloader config of each task, as round-robin training has it.

    Args:
        cfg: The config.
        tasks: Names of the tasks.
        key: What asks for it, for messages.

    Raises:
        ValueError: If the config does not have one for each task.
    """
    configs = cfg.get('train_dataloader')
    if not isinstance(configs, Mapping) or set(configs) != set(tasks):
        raise ValueError(
            f'{key} needs a train_dataloader with an entry for each task {list(tasks)}'
        )
    return {task: without_repeat(configs[task]) for task in tasks}


def joint_dataloader(cfg: Any, key: str) -> dict[str, Mapping]:
    """The dataloader config of joint training, by the name of its stream.

    Args:
        cfg: The config.
        key: What asks for it, for messages.

    Raises:
        ValueError: If the config is not one of joint training.
    """
    kind = (cfg.get('train_cfg') or {}).get('type', 'EpochBasedTrainLoop')
    loader = cfg.get('train_dataloader') or {}
    if not trains_jointly(cfg) or 'dataset' not in loader:
        raise ValueError(
            f"{key} compares allocations, so it needs joint training: train_cfg.type='"
            f"JointTrainLoop' and one train_dataloader, whose samples are annotated for all tasks; "
            f"here train_cfg.type is '{kind}'"
        )
    return {STREAM: loader}


def _stream(task: str, config: Mapping, samples: int, seed: int) -> TaskStream:
    with dataset_reading(config['dataset'], f"task '{task}', dataset"):
        loader = Runner.build_dataloader(resized(config, samples), seed=seed)
    check_while_reading(loader.dataset)
    if len(loader.dataset) < samples:
        raise ValueError(
            f"task '{task}': its data set has {len(loader.dataset)} samples, fewer than a batch of "
            f'{samples}; set samples to a smaller number'
        )
    return TaskStream(loader, task, seed)


def resized(config: Mapping, samples: int) -> dict:
    """A dataloader config with batches of ``samples``, without workers.

    Args:
        config: mmengine's dataloader config; it stays as it is.
        samples: Samples of a batch.
    """
    smaller = copy.deepcopy(dict(config))
    for option in ('persistent_workers', 'prefetch_factor'):  # of workers
        smaller.pop(option, None)
    smaller.update(num_workers=0, batch_size=samples)
    if 'batch_sampler' not in smaller:
        smaller['drop_last'] = True
    for part in (smaller.get('sampler') or {}, smaller.get('batch_sampler') or {}):
        if 'num_instances' in part:
            identities = part.get('batch_size', samples) // part['num_instances']
            part['num_instances'] = _instances(identities, samples)
        if 'batch_size' in part:
            part['batch_size'] = samples
    return smaller


def _instances(identities: int, samples: int) -> int:
    """Images of each identity: at least two, where that many identities or fewer fill a batch."""
    for number in range(min(identities, samples // 2), 1, -1):
        if samples % number == 0:
            return samples // number
    return samples
