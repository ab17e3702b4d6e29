"""Makes a config ready for mmengine's Runner."""

import copy
import datetime
import gc
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import is_distributed
from mmengine.optim import OptimWrapper
from torch import distributed

from mmgradsplit.config_files import find_config
from mmgradsplit.engine.screen import silence_toolboxes
from mmgradsplit.utils import ConfigError
from mmgradsplit.utils.mmengine_private import write_unformatted

from .config_keys import check_keys, check_top_level
from .config_values import check_values, complete_loaders
from .directions import settle_rules, without_best
from .methods import is_mixed, is_ours, use_method, wrapper_class
from .tasks import select_tasks

# Keys that only the wrappers of mmgradsplit know, and which of them to choose.
OURS = dict(
    weighting='MultiTaskOptimWrapper',
    aggregator='AggregatorOptimWrapper',
    relations='GradSplitOptimWrapper',
)


def prepare(
    config: str | Path | Config,
    work_dir: str | Path | None = None,
    cfg_options: Mapping[str, Any] | None = None,
    launcher: str = 'none',
    method: str | None = None,
) -> Config:
    """Load a config and fill in what the command line says.

    The config's ``tasks``, where it is given, chooses tasks out of all that it defines.

    Args:
        config: Config file, or a name as for :func:`~mmgradsplit.config_files.find_config`, or a
            config, which is left as it is.
        work_dir: Where logs and checkpoints go. By default the config's ``work_dir``, else
            ``work_dirs/<name of the config file>``, with ``_<method>`` where ``method`` is given,
            here or in the config.
        cfg_options: Values for keys of the config, such as ``{'train_cfg.max_epochs': 3}``.
        launcher: ``'none'``, ``'pytorch'``, ``'slurm'`` or ``'mpi'``.
        method: Name of a method, in place of what the config trains by, see
            :func:`~mmgradsplit.apis.methods.use_method`.

    Raises:
        FileNotFoundError: If there is no such config file.
        ValueError: If the file is no valid config, there is no name for the working directory, or
            ``tasks``, the method or a key of ``optim_wrapper`` does not fit.
    """
    silence_toolboxes()
    cfg = copy.deepcopy(config) if isinstance(config, Config) else _read_config(config)
    write_unformatted(cfg)
    options = dict(cfg_options or {})
    if method is not None:
        # A method reads the config, such as its relations; its own keys come after it.
        own = [key for key in options if key.startswith('optim_wrapper')]
        cfg.merge_from_dict({key: value for key, value in options.items() if key not in own})
        use_method(cfg, method)
    cfg.merge_from_dict(options)
    if work_dir is not None:
        cfg.work_dir = str(work_dir)
    elif cfg.get('work_dir') is None:
        if not cfg.filename:
            raise ValueError(
                'work_dir: a config without a file needs one, for logs and checkpoints'
            )
        cfg.work_dir = str(Path('work_dirs', run_name(cfg)))
    cfg.launcher = launcher
    cfg.setdefault('default_scope', 'mmgradsplit')
    check_top_level(cfg)
    complete_loaders(cfg)
    _complete_wrapper(cfg.get('optim_wrapper') or {})
    if launcher != 'none':
        _wrap_model(cfg)
    _check_model(cfg)
    if 'tasks' in cfg.get('model', {}):
        # Their order is said, too: mmengine sorts the keys of the config that it writes into the
        # work dir and checkpoints.
        select_tasks(cfg, cfg.get('tasks') or cfg.model.get('order') or list(cfg.model.tasks))
    return cfg


def _check_model(cfg: Config) -> None:
    tasks = (cfg.get('model') or {}).get('tasks', {})
    if not isinstance(tasks, Mapping):
        raise ConfigError(f'model.tasks must be a dict, got {tasks!r}')


def _read_config(config: str | Path) -> Config:
    file = find_config(config)
    try:
        return Config.fromfile(file)
    except (OSError, ImportError):
        raise  # a missing base or module: their messages name it
    except Exception as error:  # whatever the Python in a config file raises
        hint = ''
        if isinstance(error, SyntaxError) and {"'", '"'} & set(str(Path(file).resolve())):
            hint = (
                '; the name of a folder has a quotation mark, which {{ fileDirname }} brings into '
                'the config: write r"""{{ fileDirname }}""" there'
            )
        raise ValueError(
            f"the config '{file}' cannot be read: {type(error).__name__}: {error}{hint}"
        ) from error


def check(cfg: Config, stages: Sequence[str]) -> list[str]:
    """Find what is wrong with a prepared config, before anything is built or data is looked for.

    Args:
        cfg: The config; what follows a metric learns its direction.
        stages: Which of ``'train'``, ``'val'`` and ``'test'`` are to run.

    Returns:
        What else there is to say of it, in sentences.

    Raises:
        ConfigError: With the key, if there is something.
    """
    check_keys(cfg, stages)
    check_values(cfg, stages)
    if 'train' in stages:
        return settle_rules(cfg)
    without_best(cfg)
    return []


def run_name(cfg: Config) -> str:
    """What the runs of a config file are called: its name, and ``_<method>`` where it says one."""
    return Path(cfg.filename).stem + (f'_{cfg.method}' if cfg.get('method') else '')


def use_mixed_precision(cfg: Config) -> None:
    """Train in mixed precision: bfloat16 where the device has it, else float16 with loss scaling.

    bfloat16 has the range of float32 and needs no loss scale, which the optimizer would wait for.
    The key ``dtype`` of ``optim_wrapper.base``, or of a plain ``optim_wrapper``, chooses otherwise:
    ``'float16'`` or ``'bfloat16'``.

    Args:
        cfg: The config; its ``optim_wrapper.base`` changes, or its plain ``optim_wrapper``.

    Raises:
        ValueError: If the optimizer wrapper is of a type that this cannot be said for, or the
            device does not have the type that is chosen.
    """
    wrapper, key = cfg.optim_wrapper, 'optim_wrapper'
    if 'optimizer' not in wrapper and 'type' not in wrapper:
        raise ValueError(
            f'--amp: optim_wrapper has a wrapper for each of {list(wrapper)}; set mixed precision '
            f'in the config, by the type of each'
        )
    if is_ours(wrapper):
        wrapper.setdefault('base', {})
        wrapper, key = wrapper['base'], 'optim_wrapper.base'
    kind = wrapper_class(wrapper)
    if is_mixed(wrapper):
        return
    if kind is not OptimWrapper:
        raise ValueError(
            f"--amp: {key}.type is '{wrapper.get('type')}', for which mixed precision has to be "
            f"set in the config; --amp serves mmengine's OptimWrapper, alone or as "
            f'optim_wrapper.base'
        )
    dtype = wrapper.setdefault('dtype', 'bfloat16' if _has_bfloat16() else 'float16')
    if dtype == 'bfloat16':
        wrapper.update(type='mmgradsplit.AutocastOptimWrapper')
    elif dtype != 'float16':
        raise ValueError(f"{key}.dtype must be 'float16' or 'bfloat16' with --amp, got {dtype!r}")
    elif get_device() == 'cpu':
        raise ValueError(
            f"{key}.dtype='float16' needs a GPU, which scales the loss; leave the key out, and "
            f'--amp takes bfloat16'
        )
    else:
        wrapper.update(type='AmpOptimWrapper')
        wrapper.setdefault('loss_scale', 'dynamic')


def _has_bfloat16() -> bool:
    """Whether the device computes in bfloat16 by itself, as CPUs do and GPUs since 2020."""
    device = get_device()
    if device == 'cuda':
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device == 'cpu'


def _complete_wrapper(wrapper: dict[str, Any]) -> None:
    """Fill in the constructor that a wrapper of ours needs; refuse keys that it does not have."""
    if is_ours(wrapper):
        wrapper.setdefault('constructor', wrapper_class(wrapper).constructor)
        return
    for key, kind in OURS.items():
        if key in wrapper:
            raise ValueError(
                f"optim_wrapper.{key}: mmengine's {wrapper.get('type', 'OptimWrapper')} has no "
                f"such key; set optim_wrapper.type to '{kind}'"
            )


def _wrap_model(cfg: Config) -> None:
    """Let the model be wrapped by the DistributedDataParallel that knows task losses."""
    given = cfg.get('model_wrapper_cfg') or {}
    if str(given.get('type', 'MMDistributedDataParallel')).endswith('MMDistributedDataParallel'):
        cfg.model_wrapper_cfg = {
            'broadcast_buffers': False,
            'find_unused_parameters': cfg.get('find_unused_parameters', False),
            **given,
            'type': 'mmgradsplit.MultiTaskDistributedDataParallel',
        }


def start_processes(cfg: Config) -> bool:
    """Connect the processes of distributed training where there is no GPU.

    With GPUs mmengine's Runner does it. Without, it cannot: it selects a CUDA device whatever the
    backend, and gives that device to DistributedDataParallel.

    Args:
        cfg: The config; its ``model_wrapper_cfg`` changes.

    Returns:
        Whether the processes were connected here, by gloo.

    Raises:
        ValueError: If the launcher is not PyTorch's, or norms are to be synchronised.
    """
    if cfg.launcher == 'none' or get_device() != 'cpu':
        return False
    if cfg.launcher != 'pytorch':
        raise ValueError(
            f"--launcher {cfg.launcher}: without a GPU only 'pytorch' is supported, see "
            f'tools/dist_train.sh'
        )
    if cfg.get('sync_bn'):
        raise ValueError(
            f"sync_bn='{cfg.sync_bn}': synchronised norms need a GPU for each process, and there "
            f'is none; set sync_bn=None'
        )
    cfg.model_wrapper_cfg['device_ids'] = None
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
        # A thread of gloo's that still runs when Python ends can abort the process. They end with
        # the last reference to the group. The model in DistributedDataParallel has one, and is part
        # of reference cycles; but a collection waits for the threads with the interpreter locked,
        # and a thread may wait for the interpreter. So the last reference is this one.
        group = distributed.group.WORLD
        distributed.destroy_process_group()
        gc.collect()
        del group
