"""All tasks of a network as one graph of tensors, for ONNX runtimes and ``torch.export``."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mmgradsplit.apis import load_model
from mmgradsplit.models import RegressionHead, ReIDHead
from mmgradsplit.utils import did_you_mean
from mmgradsplit.utils.normalisation import normalisation_of
from mmgradsplit.utils.safetensors_files import to_text
from mmgradsplit.version import __version__

from .plain_model import toolbox_of

FORMATS = ('onnx', 'pt2')
INPUT = 'images'
# What the head of a task puts out, by the toolbox of its model.
OUTPUTS = {'mmpretrain': 'logits', 'mmpose': 'heatmaps', 'mmseg': 'logits', 'mmdet': 'outputs'}
OPSET = 18


class TaskGraph(nn.Module):
    """A network as a function from images to the outputs of its heads.

    Args:
        model: A :class:`~mmgradsplit.models.MultiTaskModel`, which stays as it is.
        tasks: Names of the tasks, in the order of the outputs.
        normalised: Whether images come normalised, in floats; otherwise they are pictures from 0 to
            255, and normalising is part of the graph.

    Attributes:
        names: Of the outputs, such as ``'pose/heatmaps'``.

    Raises:
        ValueError: If the tasks normalise images in different ways.
    """

    def __init__(self, model: Any, tasks: Sequence[str], normalised: bool = False) -> None:
        super().__init__()
        self.mean: Tensor
        self.std: Tensor
        self.model = model
        self.task_names = list(tasks)
        self.normalised = normalised
        mean, std, self.flip = normalisation(model, tasks)
        self.register_buffer('mean', mean)
        self.register_buffer('std', std)
        self.names: list[str] = []

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """The outputs, in the order of ``names``.

        Args:
            images: shape [N x 3 x H x W], RGB: uint8, or normalised in float32.
        """
        inputs = images
        if not self.normalised:
            inputs = images.float()
            if self.flip:
                inputs = inputs.flip(1)
            inputs = (inputs - self.mean) / self.std
        outputs: dict[str, Tensor] = {}
        for group in self.model.passes:
            wanted = [task for task in group if task in self.task_names]
            if not wanted:
                continue
            features = self.model.backbone_pass(inputs, group[0])
            for task in wanted:
                outputs.update(head_outputs(self.model.tasks[task], task, features))
        ordered = [
            name for task in self.task_names for name in outputs if name.startswith(f'{task}/')
        ]
        self.names = ordered
        return tuple(outputs[name] for name in ordered)


def head_outputs(network: Any, task: str, features: Any) -> dict[str, Tensor]:
    """The outputs of a task's head by name, from the features of the shared backbone."""
    if getattr(network, 'neck', None) is not None:
        features = network.neck(features)
    head = head_of(network)
    if isinstance(head, ReIDHead):
        return {f'{task}/embedding': head.pre_logits(features)}
    name = 'values' if isinstance(head, RegressionHead) else OUTPUTS[toolbox_of(type(network))]
    return _named(f'{task}/{name}', head(features))


def head_of(network: Any) -> Any:
    """The head of a task's model, whatever its toolbox calls it.

    Raises:
        ValueError: If it has none, or several.
    """
    for name in ('head', 'decode_head', 'bbox_head'):
        head = getattr(network, name, None)
        if isinstance(head, nn.Module) and not isinstance(head, nn.ModuleList):
            return head
    raise ValueError(
        f'{type(network).__name__} has no single head, so its outputs cannot be exported as tensors'
    )


def _named(name: str, outputs: Any) -> dict[str, Tensor]:
    if isinstance(outputs, Tensor):
        return {name: outputs}
    parts = outputs.items() if isinstance(outputs, Mapping) else enumerate(outputs)
    return {
        key: each
        for number, part in parts
        for key, each in _named(f'{name}_{number}', part).items()
    }


def normalisation(model: Any, tasks: Sequence[str]) -> tuple[Tensor, Tensor, bool]:
    """How the tasks normalise an RGB picture: mean, deviation, and whether it is turned to BGR.

    Returns:
        Mean and standard deviation, shape [3 x 1 x 1], and whether channels are flipped before.

    Raises:
        ValueError: If two tasks do it in different ways.
    """
    found: dict[str, tuple[Tensor, Tensor, bool]] = {}
    for task in tasks:
        own = normalisation_of(model.tasks[task].data_preprocessor)
        found[task] = (own.mean, own.std, not own.converts)
    first = tasks[0]
    for task, (mean, std, flip) in found.items():
        one = found[first]
        if flip != one[2] or not torch.equal(mean, one[0]) or not torch.equal(std, one[1]):
            raise ValueError(
                f'one graph needs one input for all tasks, but {task} and {first} normalise images '
                f'in different ways: give them the same mean, std and channel order, or export '
                f'them one by one'
            )
    return found[first]


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
        tasks: Names of the tasks, by default all.
        size: (width, height) of the images, by default that of the first task's validation.
        normalised: Whether the graph takes normalised images, in place of uint8 pictures in RGB.
        dynamic_size: Whether the images' size is free too; not all heads can be exported so.
        config: Config of the network; by default the one that the checkpoint holds.

    Raises:
        FileNotFoundError: If the checkpoint is not there.
        FileExistsError: If the file is there already.
        ValueError: If there is no such task or format, or the tasks need different inputs.
        RuntimeError: If the exporter cannot express the network.
    """
    if kind not in FORMATS:
        raise ValueError(f"--format must be one of {', '.join(FORMATS)}, got '{kind}'")
    file = Path(to)
    if file.exists():
        raise FileExistsError(f"'{file}' is there already: choose another name, or remove it")
    if not Path(checkpoint).is_file():
        raise FileNotFoundError(f"no checkpoint '{checkpoint}'")
    model: Any = load_model(config, checkpoint, 'cpu')
    chosen = list(model.tasks) if tasks is None else list(tasks)
    for task in chosen:
        if task not in model.tasks:
            known = list(model.tasks)
            hint = did_you_mean(task, known)
            raise ValueError(f"the network has no task '{task}', only {known}{hint}")
    size = size or model.input_size
    if size is None:
        raise ValueError('the config does not say the size of the images: give --size WIDTH HEIGHT')
    graph = TaskGraph(model, chosen, normalised).eval()
    images = _random_images(2, size, normalised, seed=0)
    batch = torch.export.Dim('batch', min=1, max=4096)
    dynamic: dict[int, Any] = {0: batch}
    if dynamic_size:
        dynamic.update({2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO})
    try:
        with torch.no_grad():
            graph(images)
            program = torch.export.export(graph, (images,), dynamic_shapes=(dynamic,), strict=False)
    except Exception as error:  # whatever tracing raises
        what = 'of free size ' if dynamic_size else ''
        first = str(error).strip().partition('\n')[0]
        raise RuntimeError(
            f'{", ".join(chosen)} {what}cannot be exported: {type(error).__name__}: {first}'
        ) from error
    meta = {
        'cfg': model.cfg.pretty_text,
        'dataset_meta': {task: model.dataset_meta.get(task) for task in chosen},
        'tasks': chosen,
        'size': list(size),
        'normalised': normalised,
        'mmgradsplit_version': __version__,
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    if kind == 'onnx':
        _write_onnx(program, graph.names, meta, file)
    else:
        torch.export.save(program, file, extra_files={'mmgradsplit': to_text(meta)})
    # Another number of images than the graph was traced with.
    images = _random_images(3, size, normalised, seed=1)
    with torch.no_grad():
        expected = graph(images)
    found = run_onnx(file, images) if kind == 'onnx' else torch.export.load(file).module()(images)
    shapes, difference = {}, {}
    for name, ours, theirs in zip(graph.names, expected, found, strict=True):
        shapes[name] = list(ours.shape[1:])
        difference[name] = float((ours - theirs).detach().abs().max())
    return ExportedGraph(file, shapes, difference)


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


def run_onnx(file: str | Path, images: Tensor) -> list[Tensor]:
    """The outputs of an ONNX file for images, by onnxruntime on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file), providers=['CPUExecutionProvider'])
    return [torch.from_numpy(each) for each in session.run(None, {INPUT: images.numpy()})]
