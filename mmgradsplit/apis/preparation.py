"""Makes a config ready for mmengine's Runner. May import mmengine."""

import copy
import datetime
import gc
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import is_distributed
from torch import distributed

from .tasks import select_tasks

PLAIN = 'OptimWrapper'
# The wrapper in mixed precision with loss scaling, and the one without, by the plain wrapper.
MIXED = {
    'OptimWrapper': ('AmpOptimWrapper', 'mmgradsplit.AutocastOptimWrapper'),
    'AggregatorOptimWrapper': (
        'mmgradsplit.AmpAggregatorOptimWrapper',
        'mmgradsplit.AutocastAggregatorOptimWrapper',
    ),
}
# The wrapper with an aggregator, by the one without.
AGGREGATING = {
    'OptimWrapper': 'AggregatorOptimWrapper',
    'AmpOptimWrapper': 'AmpAggregatorOptimWrapper',
    'AutocastOptimWrapper': 'AutocastAggregatorOptimWrapper',
}
# Wrappers that have to know the model.
CONSTRUCTORS = {
    'GradSplitOptimWrapper': 'GradSplitOptimWrapperConstructor',
    'AggregatorOptimWrapper': 'TaskGradientOptimWrapperConstructor',
    'AmpAggregatorOptimWrapper': 'TaskGradientOptimWrapperConstructor',
    'AutocastAggregatorOptimWrapper': 'TaskGradientOptimWrapperConstructor',
    'CosRegOptimWrapper': 'TaskGradientOptimWrapperConstructor',
}


def prepare(
    config: str | Path | Config,
    work_dir: str | Path | None = None,
    cfg_options: Mapping[str, Any] | None = None,
    launcher: str = 'none',
) -> Config:
    """Load a config and fill in what the command line says.

    The config's ``tasks``, where it is given, chooses tasks out of all that it defines.

    Args:
        config: Config file, or a config, which is left as it is.
        work_dir: Where logs and checkpoints go. By default the config's ``work_dir``, else
            ``work_dirs/<name of the config file>``.
        cfg_options: Values for keys of the config, such as ``{'train_cfg.max_epochs': 3}``.
        launcher: ``'none'``, ``'pytorch'``, ``'slurm'`` or ``'mpi'``.

    Raises:
        FileNotFoundError: If there is no such config file.
        ValueError: If there is no name for the working directory, or ``tasks`` or
            ``optim_wrapper.aggregator`` does not fit.
    """
    if isinstance(config, Config):
        cfg = copy.deepcopy(config)
    else:
        if not Path(config).is_file():
            raise FileNotFoundError(
                f"no config file '{config}'; those of the project are below configs/"
            )
        cfg = Config.fromfile(config)
    cfg.merge_from_dict(dict(cfg_options or {}))
    if work_dir is not None:
        cfg.work_dir = str(work_dir)
    elif cfg.get('work_dir') is None:
        if not cfg.filename:
            raise ValueError(
                'work_dir: a config without a file needs one, for logs and checkpoints'
            )
        cfg.work_dir = str(Path('work_dirs', Path(cfg.filename).stem))
    cfg.launcher = launcher
    cfg.setdefault('default_scope', 'mmgradsplit')
    _name_wrapper(cfg.get('optim_wrapper') or {})
    if 'tasks' in cfg.get('model', {}):
        # Their order is said, too: mmengine sorts the keys of the config that it writes into the
        # work dir and checkpoints.
        select_tasks(cfg, cfg.get('tasks') or cfg.model.get('order') or list(cfg.model.tasks))
    return cfg


def use_mixed_precision(cfg: Config) -> None:
    """Train in mixed precision: float16 with loss scaling on a GPU, bfloat16 on a CPU.

    mmengine's ``AmpOptimWrapper`` refuses to run without a GPU; there ``AutocastOptimWrapper``
    takes its place, without loss scaling, since bfloat16 has the range of float32.

    Args:
        cfg: The config; its ``optim_wrapper`` changes, or ``optim_wrapper.base`` for GradSplit.

    Raises:
        ValueError: If the optimizer wrapper is of a type that this cannot be said for.
    """
    wrapper, key = cfg.get('optim_wrapper', {}), 'optim_wrapper'
    if _type(wrapper) == 'GradSplitOptimWrapper':
        wrapper.setdefault('base', {})
        wrapper, key = wrapper['base'], 'optim_wrapper.base'
    kind = _type(wrapper)
    if is_mixed(wrapper):
        return
    if kind not in MIXED:
        raise ValueError(
            f"--amp: {key}.type is '{kind}', for which mixed precision has to be set in the "
            f"config; --amp serves {list(MIXED)} and 'GradSplitOptimWrapper'"
        )
    scaled, unscaled = MIXED[kind]
    if get_device() == 'cpu':
        wrapper.update(type=unscaled, dtype='bfloat16')
    else:
        wrapper.update(type=scaled)
        wrapper.setdefault('loss_scale', 'dynamic')


def is_mixed(wrapper: Mapping[str, Any]) -> bool:
    """Whether an optimizer wrapper's config is one in mixed precision."""
    kind = _type(wrapper)
    return any(kind == mixed.rpartition('.')[2] for pair in MIXED.values() for mixed in pair)


def _name_wrapper(wrapper: dict[str, Any]) -> None:
    """Fill in the type that a key of ``optim_wrapper`` asks for, and the constructor of a type."""
    kind = _type(wrapper)
    if 'aggregator' in wrapper and kind in AGGREGATING:
        kind = AGGREGATING[kind]
        wrapper['type'] = f'mmgradsplit.{kind}'
    known = (*AGGREGATING.values(), 'GradSplitOptimWrapper')
    if 'aggregator' in wrapper and kind not in known:
        raise ValueError(
            f"optim_wrapper.aggregator: '{kind}' takes none; set optim_wrapper.type to "
            f"'AggregatorOptimWrapper' (and _delete_=True where its other keys are inherited)"
        )
    if kind in CONSTRUCTORS:
        wrapper.setdefault('constructor', f'mmgradsplit.{CONSTRUCTORS[kind]}')


def _type(wrapper: Mapping[str, Any]) -> str:
    """Name of a wrapper's type, without its scope."""
    kind = wrapper.get('type', PLAIN)
    return kind.rpartition('.')[2] if isinstance(kind, str) else kind.__name__


def start_processes(cfg: Config) -> bool:
    """Connect the processes of distributed training where there is no GPU.

    With GPUs mmengine's Runner does it. Without, it cannot: it selects a CUDA device whatever the
    backend, and gives that device to DistributedDataParallel.

    Args:
        cfg: The config; its ``model_wrapper_cfg`` changes.

    Returns:
        Whether the processes were connected here, by gloo.

    Raises:
        ValueError: If the launcher is not PyTorch's.
    """
    if cfg.launcher == 'none' or get_device() != 'cpu':
        return False
    if cfg.launcher != 'pytorch':
        raise ValueError(
            f"--launcher {cfg.launcher}: without a GPU only 'pytorch' is supported, see "
            f'tools/dist_train.sh'
        )
    cfg.model_wrapper_cfg = {
        'type': 'MMDistributedDataParallel',
        'broadcast_buffers': False,
        'find_unused_parameters': cfg.get('find_unused_parameters', False),
        **(cfg.get('model_wrapper_cfg') or {}),
        'device_ids': None,
    }
    if not is_distributed():
        timeout = cfg.get('env_cfg', {}).get('dist_cfg', {}).get('timeout', 1800)
        # torchrun sets it too; without it every process would start a thread for each core.
        os.environ.setdefault('OMP_NUM_THREADS', '1')
        distributed.init_process_group('gloo', timeout=datetime.timedelta(seconds=timeout))
    return True


def stop_processes() -> None:
    """End the exchange between the processes of distributed training, where there are several.

    A tool calls it last, when nothing holds the runner any more, and only when all went well: a
    process that failed must not wait for the others here.
    """
    if is_distributed():
        distributed.destroy_process_group()
        # A thread of gloo's that still runs when Python ends can abort the process. They end with
        # the last reference to the group; the model in DistributedDataParallel has one, and is part
        # of reference cycles.
        gc.collect()
