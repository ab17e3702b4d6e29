"""All tasks of a network in one file, for ONNX runtimes and ``torch.export``."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mmgradsplit.apis import load_model
from mmgradsplit.utils import chosen_tasks, import_extra
from mmgradsplit.utils.safetensors_files import to_text
from mmgradsplit.version import __version__

from .task_graph import TaskGraph

FORMATS = ('onnx', 'pt2')
INPUT = 'images'
OPSET = 18
# How far the outputs of a graph may be from the network's, relative to their largest.
TOLERANCE = 1e-3


class ExportedGraph(NamedTuple):
    """An exported graph.

    Attributes:
        file: The file.
        outputs: Shape of each output for one image, by name.
        difference: Largest difference from the network's own outputs, by name.
    """

    file: Path
    outputs: dict[str, list[int]]
    difference: dict[str, float]


def export_graph(
    checkpoint: str | Path,
    to: str | Path,
    *,
    kind: str = 'onnx',
    tasks: Sequence[str] | None = None,
    size: tuple[int, int] | None = None,
    normalised: bool = False,
    dynamic_size: bool = False,
    config: Any = None,
) -> ExportedGraph:
    """Write all tasks of a checkpoint, or some, as one graph, and compare it with the network.

    The number of images is free. Names of classes and keypoints, the tasks' configs and the size
    are in the file's metadata, from which :class:`~mmgradsplit.inference.OnnxInferencer` decodes
    the outputs.

    Args:
        checkpoint: Of a multi-task network.
        to: The file, ``.onnx`` or ``.pt2``.
        kind: ``'onnx'`` or ``'pt2'`` (``torch.export``).
        tasks: Names of the tasks, by default all. Outputs come in the order of the network's tasks.
        size: (width, height) of the images, by default that of the first task's validation.
        normalised: Whether the graph takes normalised images, in place of uint8 pictures in RGB.
        dynamic_size: Whether the images' size is free too; not all heads can be exported so.
        config: Config of the network; by default the one that the checkpoint holds.

    Raises:
        FileNotFoundError: If the checkpoint is not there.
        FileExistsError: If the file is there already.
        ImportError: If what ONNX needs is not installed.
        KeyError: If there is no such task.
        ValueError: If there is no such format, the tasks need different inputs, or the exporter
            cannot express the network.
    """
    if kind not in FORMATS:
        raise ValueError(f"--format must be one of {', '.join(FORMATS)}, got '{kind}'")
    file = Path(to)
    if file.exists():
        raise FileExistsError(f"'{file}' is there already: choose another name, or remove it")
    if kind == 'onnx':
        for needed in ('onnx', 'onnxscript', 'onnxruntime'):
            import_extra(needed, 'onnx', '--format onnx')
    if not Path(checkpoint).is_file():
        raise FileNotFoundError(f"no checkpoint '{checkpoint}'")
    model: Any = load_model(config, checkpoint, 'cpu')
    chosen = chosen_tasks(tasks, list(model.tasks))
    size = size or model.input_size
    if size is None:
        raise ValueError('the config does not say the size of the images: give --size WIDTH HEIGHT')
    graph = TaskGraph(model, chosen, normalised).eval()
    images = _random_images(2, size, normalised, seed=0)
    dynamic: dict[int, Any] = {0: torch.export.Dim('batch', min=1, max=4096)}
    if dynamic_size:
        dynamic.update({2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO})
    meta = {
        'cfg': model.cfg.pretty_text,
        'dataset_meta': {task: model.dataset_meta.get(task) for task in chosen},
        'tasks': chosen,
        'size': list(size),
        'normalised': normalised,
        'mmgradsplit_version': __version__,
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    # Under its name only when it computes what the network does.
    partial = file.with_name(f'{file.stem}.partial{file.suffix}')
    try:
        with torch.no_grad():
            graph(images)
            program = torch.export.export(graph, (images,), dynamic_shapes=(dynamic,), strict=False)
        if kind == 'onnx':
            _write_onnx(program, graph.names, meta, partial)
        else:
            torch.export.save(program, partial, extra_files={'mmgradsplit': to_text(meta)})
        # Another number of images than the graph was traced with.
        images = _random_images(3, size, normalised, seed=1)
        outputs = _compared(graph, partial, kind, images)
    except Exception as error:  # whatever the exporters and runtimes raise
        partial.unlink(missing_ok=True)
        what = 'of free size ' if dynamic_size else ''
        first = str(error).strip().partition('\n')[0]
        raise ValueError(
            f'{", ".join(chosen)} {what}cannot be exported: {type(error).__name__}: {first}'
        ) from error
    partial.rename(file)
    return ExportedGraph(file, *outputs)


def _compared(
    graph: TaskGraph, file: Path, kind: str, images: Tensor
) -> tuple[dict[str, list[int]], dict[str, float]]:
    """Shape of each output for one image, and its largest difference from the network's.

    Raises:
        ValueError: If a difference is larger than rounding explains.
    """
    shapes, differences = {}, {}
    with torch.no_grad():
        expected = graph(images)
        found = (
            run_onnx(file, images) if kind == 'onnx' else torch.export.load(file).module()(images)
        )
        for name, ours, theirs in zip(graph.names, expected, found, strict=True):
            shapes[name] = list(ours.shape[1:])
            differences[name] = difference = float((ours - theirs).abs().max())
            if not difference <= TOLERANCE * max(1.0, float(ours.abs().max())):
                raise ValueError(
                    f'the graph computes something else than the network: {name} is off by '
                    f'{difference:.1e}'
                )
    return shapes, differences


def _random_images(number: int, size: tuple[int, int], normalised: bool, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (number, 3, size[1], size[0])
    if normalised:
        return torch.randn(shape, generator=generator)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def _write_onnx(program: Any, names: Sequence[str], meta: Mapping[str, Any], file: Path) -> None:
    exported = torch.onnx.export(
        program, dynamo=True, opset_version=OPSET, input_names=[INPUT], output_names=list(names),
        verbose=False,
    )  # fmt: skip
    assert exported is not None
    exported.model.metadata_props['mmgradsplit'] = to_text(meta)
    # One file: weights beside it would be lost when it is moved.
    exported.save(str(file), external_data=False)


def import_onnxruntime() -> Any:
    """The runtime of ONNX files.

    Raises:
        ImportError: If it is not installed.
    """
    return import_extra('onnxruntime', 'onnx', 'an ONNX file')


def run_onnx(file: str | Path, images: Tensor) -> list[Tensor]:
    """The outputs of an ONNX file for images, by onnxruntime on the CPU."""
    onnxruntime = import_onnxruntime()
    session = onnxruntime.InferenceSession(str(file), providers=['CPUExecutionProvider'])
    return [torch.from_numpy(each) for each in session.run(None, {INPUT: images.numpy()})]
