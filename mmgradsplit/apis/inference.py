"""Loading a trained network: what a notebook, the inferencer and the tools start from."""

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import init_default_scope
from mmengine.runner import CheckpointLoader
from torch import nn

from mmgradsplit.engine.loops.joint import STREAM
from mmgradsplit.engine.screen import silence_toolboxes
from mmgradsplit.registry import MODELS
from mmgradsplit.utils import pipeline_of
from mmgradsplit.visualization import predict_image, register_sample_maker

from .preparation import prepare

__all__ = ['load_model', 'predict_image', 'register_sample_maker']


def load_model(
    config: str | Path | Config | None,
    checkpoint: str | Path | None = None,
    device: str | None = None,
    cfg_options: Mapping[str, Any] | None = None,
) -> nn.Module:
    """Build a config's model and load its weights.

    Args:
        config: Config file, or a name out of ``mmgradsplit configs``, or a config; None for the one
            that the checkpoint was trained with, which it holds.
        checkpoint: File with the weights; without one, the weights are random.
        device: Such as ``'cuda:0'``; by default a GPU where there is one.
        cfg_options: Values for keys of the config.

    Returns:
        The :class:`~mmgradsplit.models.MultiTaskModel` in evaluation mode, with the attributes
        ``cfg``, ``dataset_meta`` (of each task's data set, as the checkpoint has it) and
        ``input_size``, (width, height), at which the first task is validated, or None.

    Raises:
        FileNotFoundError: If the config or the checkpoint is not there.
        ValueError: If the config's model is not a MultiTaskModel, or the checkpoint is none, holds
            no config where it has to, or has other weights than the model.
    """
    content: Mapping[str, Any] = {} if checkpoint is None else read_checkpoint(checkpoint)
    meta = content.get('meta') or {}
    if config is None:
        if not meta.get('cfg'):
            raise ValueError(f"the checkpoint '{checkpoint}' holds no config: give the config, too")
        config = Config.fromstring(meta['cfg'], '.py')
    # Nothing is written into the work dir.
    cfg = prepare(config, work_dir='work_dirs', cfg_options=cfg_options)
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model)
    if not hasattr(model, 'tasks'):
        raise ValueError(
            f"model.type is '{type(model).__name__}', but one pass over the tasks needs a "
            f'MultiTaskModel'
        )
    if checkpoint is not None:
        _load_weights(model, content.get('state_dict', content), checkpoint)
    metas = meta.get('dataset_meta') or {}
    model.cfg, model.input_size = cfg, _input_size(cfg)
    # Joint training has one data set, for all tasks.
    joint = metas.get(STREAM)
    model.dataset_meta = metas if joint is None else dict.fromkeys(model.tasks, joint)
    return model.to(device or get_device()).eval()


def read_checkpoint(file: str | Path) -> Mapping[str, Any]:
    """The content of a checkpoint, on the CPU.

    Args:
        file: Checkpoint file, or an address that mmengine knows.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no checkpoint.
    """
    if '://' not in str(file) and not Path(file).is_file():
        raise FileNotFoundError(f"no checkpoint '{file}'")
    silence_toolboxes()
    try:
        content = CheckpointLoader.load_checkpoint(str(file), map_location='cpu')
    except (pickle.UnpicklingError, EOFError, RuntimeError, ValueError) as error:
        reason = str(error).strip().partition('\n')[0]
        raise ValueError(f"'{file}' is no checkpoint that torch can read: {reason}") from error
    if not isinstance(content, Mapping):
        raise ValueError(f"'{file}' is no checkpoint: it holds a {type(content).__name__}")
    return content


def _load_weights(model: Any, weights: Mapping[str, Any], file: str | Path) -> None:
    own = model.state_dict()
    missing = [name for name in own if name not in weights]
    unknown = [name for name in weights if name not in own]
    other = [
        f'{name} has the shape {list(weights[name].shape)}, not {list(value.shape)}'
        for name, value in own.items()
        if name in weights and weights[name].shape != value.shape
    ]
    if missing or unknown or other:
        tasks = {name.split('.')[1] for name in weights if str(name).startswith('tasks.')}
        of = f'the tasks {sorted(tasks)}' if tasks else 'no task'
        differences = [f'{name} is missing' for name in missing]
        differences += [f'{name} is not in the model' for name in unknown]
        first = '; '.join([*other, *differences][:3])
        raise ValueError(
            f"the checkpoint '{file}' does not fit the config's model: it has weights of {of}, and "
            f'the model has {list(model.tasks)}; {len(missing) + len(unknown) + len(other)} '
            f'entries differ: {first}'
        )
    model.load_state_dict(weights)


def _input_size(cfg: Config) -> tuple[int, int] | None:
    """Size, (width, height), of the images of the first task that says it in its pipeline."""
    loaders = cfg.get('val_dataloader') or {}
    for loader in [loaders] if 'dataset' in loaders else loaders.values():
        for step in pipeline_of(loader.get('dataset')):
            size = step.get('scale') or step.get('input_size')
            if isinstance(size, Sequence) and len(size) == 2:
                return int(size[0]), int(size[1])
    return None
