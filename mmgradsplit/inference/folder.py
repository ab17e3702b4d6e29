"""From inputs to a folder of files: what ``mmgradsplit predict`` calls."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import DATASETS

from mmgradsplit.functional.placement import Size
from mmgradsplit.utils import chosen_tasks
from mmgradsplit.visualization import PanelMaker, save_figure

from .images import find_inputs
from .inferencer import MultiTaskInferencer, Passes
from .out_folder import out_folder
from .people import PeopleFinder
from .writers import Writer, make_writers


def predict_to_folder(
    config: str | Path | Config | None,
    checkpoint: str | Path,
    inputs: Any,
    out: str | Path = 'panels',
    *,
    formats: Sequence[str] = ('panel',),
    overwrite: bool = False,
    people: PeopleFinder | None = None,
    batch_size: int = 8,
    tasks: Sequence[str] | None = None,
    passes: Passes = 'shared',
    size: Size | None = None,
    device: str | None = None,
    cfg_options: Mapping[str, Any] | None = None,
    progress: bool = False,
) -> list[Path]:
    """Look at pictures and write what was said of them.

    Args:
        config: As for :class:`~mmgradsplit.inference.MultiTaskInferencer`, as are ``checkpoint``,
            ``device`` and ``cfg_options``.
        checkpoint: File with the weights, or an ``.onnx`` file, for which the config must be None.
        inputs: See :func:`~mmgradsplit.inference.find_inputs`.
        out: Folder to write to.
        formats: Some of ``panel``, ``overlay``, ``json``, ``coco``, ``png``, ``npy``, ``video``.
        overwrite: Write over files that are there.
        people: As for :meth:`~mmgradsplit.inference.MultiTaskInferencer.stream`, as are
            ``batch_size``, ``tasks``, ``passes``, ``size`` and ``progress``.
        batch_size: Pictures of a batch.
        tasks: Names of the tasks.
        passes: ``'shared'`` or ``'own'``.
        size: (width, height) of the shared input.
        device: Such as ``'cuda:0'``.
        cfg_options: Values for keys of the config.
        progress: Show how far it is.

    Returns:
        The files.

    Raises:
        FileExistsError: If a file is there already; nothing has been predicted then.
        FileNotFoundError: If a file is not there.
        KeyError: If there is no such task.
        ValueError: If an option does not fit, or nothing could be read.
    """
    found = find_inputs(inputs)
    inferencer = _inferencer(config, checkpoint, device, cfg_options)
    chosen = chosen_tasks(tasks, inferencer.tasks)
    writers = make_writers(formats, out, inferencer.metas, found, chosen, overwrite)
    files: list[Path] = []
    with ExitStack() as stack:
        for writer in writers:
            # A video that is stopped is whole, too.
            stack.callback(_close, writer, files)
        for result in inferencer.stream(
            found,
            batch_size=batch_size,
            tasks=chosen,
            passes=passes,
            size=size,
            people=people,
            progress=progress,
        ):
            for writer in writers:
                files += writer.write(result)
    return files


def _inferencer(
    config: str | Path | Config | None,
    checkpoint: str | Path,
    device: str | None,
    cfg_options: Mapping[str, Any] | None,
) -> MultiTaskInferencer:
    if Path(checkpoint).suffix != '.onnx':
        return MultiTaskInferencer(config, checkpoint, device, cfg_options)
    if config is not None or device is not None or cfg_options:
        raise ValueError(
            f"'{checkpoint}' is a graph, which holds its config, and onnxruntime chooses the "
            f"device: give '-' for the config, and neither --device nor --cfg-options"
        )
    from .onnx import OnnxInferencer  # onnxruntime, which is an extra

    return OnnxInferencer(checkpoint)


def _close(writer: Writer, files: list[Path]) -> None:
    files += writer.close()


def draw_validation_images(
    config: str | Path | Config | None,
    checkpoint: str | Path,
    out: str | Path = 'panels',
    *,
    num_images: int = 4,
    size: Size | None = None,
    overwrite: bool = False,
    device: str | None = None,
    cfg_options: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Draw panels of a config's own validation images, with their nearest gallery neighbours.

    Args:
        config: As for :func:`predict_to_folder`, as are ``checkpoint``, ``out``, ``overwrite``,
            ``device`` and ``cfg_options``.
        checkpoint: File with the weights.
        out: Folder to write to.
        num_images: Number of images.
        size: (width, height) of the network's input, by default that of the images' pipeline.
        overwrite: Write over files that are there.
        device: Such as ``'cuda:0'``.
        cfg_options: Values for keys of the config.

    Returns:
        The pictures' files.

    Raises:
        FileExistsError: If panels are there already.
        FileNotFoundError: If a file is not there.
        ValueError: If the config has no validation images, or none is asked for.
    """
    if num_images < 1:
        raise ValueError(f'--num-images must be at least 1, got {num_images}')
    inferencer = MultiTaskInferencer(config, checkpoint, device, cfg_options)
    model = inferencer.model
    loaders = model.cfg.get('val_dataloader')
    if not loaders:
        raise ValueError('the config has no val_dataloader to draw images of: give pictures')
    by_task = dict.fromkeys(model.tasks, loaders) if 'dataset' in loaders else loaders
    folder = out_folder(out, [f'{task}_*.png' for task in by_task], overwrite)
    datasets = {task: DATASETS.build(loader['dataset']) for task, loader in by_task.items()}
    maker = PanelMaker(model, datasets, size=size)
    return [save_figure(panel, folder / f'{name}.png') for name, panel in maker.panels(num_images)]
