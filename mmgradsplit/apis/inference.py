"""Loading a trained network: what a notebook, the inferencer and the tools start from."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import init_default_scope
from torch import nn

from mmgradsplit.engine.loops.joint import STREAM
from mmgradsplit.engine.screen import silence_toolboxes
from mmgradsplit.registry import MODELS
from mmgradsplit.utils import at_key, load_fitting, pipeline_of, read_checkpoint
from mmgradsplit.utils.config_text import read_config_text
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
        ValueError: If there is no such device, the config's model is not a MultiTaskModel, or the
            checkpoint is none, holds no config where it has to, or has other weights than it.
    """
    silence_toolboxes()
    device = _usable(device or get_device())
    content: Mapping[str, Any] = {} if checkpoint is None else read_checkpoint(checkpoint)
    meta = content.get('meta') or {}
    if config is None:
        if not meta.get('cfg'):
            raise ValueError(f"the checkpoint '{checkpoint}' holds no config: give the config, too")
        config = read_config_text(meta['cfg'], checkpoint)
    # Nothing is written into the work dir.
    cfg = prepare(config, work_dir='work_dirs', cfg_options=cfg_options)
    init_default_scope(cfg.default_scope)
    if 'tasks' not in cfg.model:
        raise ValueError(
            f"model.type is '{cfg.model.get('type')}', but one pass over the tasks needs a "
            f"MultiTaskModel; a network of one toolbox is shown by the toolbox's own inferencer, "
            f'such as mmdet.apis.DetInferencer'
        )
    with at_key('model', cfg.model):
        model = MODELS.build(cfg.model)
    if checkpoint is not None:
        load_fitting(model, content, checkpoint)
    metas = meta.get('dataset_meta') or {}
    model.cfg, model.input_size = cfg, _input_size(cfg)
    # Joint training has one data set, for all tasks.
    joint = metas.get(STREAM)
    model.dataset_meta = metas if joint is None else dict.fromkeys(model.tasks, joint)
    return model.to(device).eval()


def _usable(device: str) -> str:
    """A device, after something was put there."""
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().partition('\n')[0]
        raise ValueError(f"the device '{device}' cannot be used here: {reason}") from error
    return device


def _input_size(cfg: Config) -> tuple[int, int] | None:
    """Size, (width, height), of the images of the first task that says it in its pipeline."""
    loaders = cfg.get('val_dataloader') or {}
    for loader in [loaders] if 'dataset' in loaders else loaders.values():
        for step in pipeline_of(loader.get('dataset')):
            size = step.get('scale') or step.get('input_size')
            if isinstance(size, Sequence) and len(size) == 2:
                return int(size[0]), int(size[1])
    return None
