"""Prediction of all tasks: what tools/predict.py and a notebook call."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import DATASETS, init_default_scope
from mmengine.runner import load_checkpoint
from torch import nn

from mmgradsplit.registry import MODELS
from mmgradsplit.visualization import (
    PanelMaker,
    draw_panel,
    predict_image,
    read_image,
    register_sample_maker,
    save_figure,
)

from .preparation import prepare

__all__ = ['load_model', 'predict_image', 'predict_to_folder', 'register_sample_maker']


def load_model(
    config: str | Path | Config, checkpoint: str | Path | None = None, device: str | None = None
) -> nn.Module:
    """Build a config's model and load its weights.

    Args:
        config: Config file, or a config.
        checkpoint: File with the weights; without one, the weights are random.
        device: Such as ``'cuda:0'``; by default a GPU where there is one.

    Returns:
        The :class:`~mmgradsplit.models.MultiTaskModel` in evaluation mode, with the attributes
        ``cfg``, ``dataset_meta`` (of each task's data set, as the checkpoint has it) and
        ``input_size``, (width, height), at which the first task is validated, or None.

    Raises:
        FileNotFoundError: If the config or the checkpoint is not there.
        ValueError: If the config's model is not a MultiTaskModel.
    """
    if checkpoint is not None and '://' not in str(checkpoint) and not Path(checkpoint).is_file():
        raise FileNotFoundError(f"no checkpoint '{checkpoint}'")
    cfg = prepare(config, work_dir='work_dirs')  # nothing is written there
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model)
    if not hasattr(model, 'tasks'):
        raise ValueError(
            f"model.type is '{type(model).__name__}', but one pass over the tasks needs a "
            f'MultiTaskModel'
        )
    meta: Mapping[str, Any] = {}
    if checkpoint is not None:
        content = load_checkpoint(model, str(checkpoint), map_location='cpu', strict=True)
        meta = content.get('meta', {}).get('dataset_meta') or {}
    model.cfg, model.dataset_meta, model.input_size = cfg, dict(meta), _input_size(cfg)
    return model.to(device or get_device()).eval()


def _input_size(cfg: Config) -> tuple[int, int] | None:
    """Size, (width, height), of the images of the first task that says it in its pipeline."""
    loaders = cfg.get('val_dataloader') or {}
    for loader in [loaders] if 'dataset' in loaders else loaders.values():
        for step in loader.get('dataset', {}).get('pipeline', []):
            size = step.get('scale') or step.get('input_size')
            if isinstance(size, Sequence) and len(size) == 2:
                return int(size[0]), int(size[1])
    return None


def predict_to_folder(
    config: str | Path | Config,
    checkpoint: str | Path,
    images: Sequence[str | Path] = (),
    out: str | Path = 'panels',
    *,
    size: tuple[int, int] | None = None,
    num_images: int = 2,
    device: str | None = None,
) -> list[Path]:
    """Draw panels of images, or of a config's own validation images.

    Args:
        config: Config file, or a config.
        checkpoint: File with the weights.
        images: Image files. If there are none, ``num_images`` images of each task's validation set
            are drawn, queries with their nearest gallery neighbours.
        out: Folder to write to.
        size: (width, height) that the images are resized to for the network, by default that of the
            first task's validation (or of each task's own).
        num_images: Number of validation images of each task where no image is given.
        device: Such as ``'cuda:0'``; by default a GPU where there is one.

    Returns:
        The pictures' files.

    Raises:
        FileNotFoundError: If a file is not there.
        ValueError: If a file is not an image, or the model does not fit.
    """
    model: Any = load_model(config, checkpoint, device)
    files = []
    if images:
        for image in images:
            panel = draw_panel(
                read_image(image),
                predict_image(model, image, size),
                model.dataset_meta,
                title=Path(image).name,
            )
            files.append(save_figure(panel, Path(out, f'{Path(image).stem}.png')))
        return files
    loaders = model.cfg.val_dataloader
    datasets = {task: DATASETS.build(loader['dataset']) for task, loader in loaders.items()}
    maker = PanelMaker(model, datasets, size=size)
    for name, panel in maker.panels(num_images):
        files.append(save_figure(panel, Path(out, f'{name}.png')))
    return files
