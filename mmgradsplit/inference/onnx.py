"""Inference by an ONNX runtime: the graph computes, and all else is the same code."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mmgradsplit.export.graph import INPUT, import_onnxruntime
from mmgradsplit.export.task_graph import head_of, normalisation
from mmgradsplit.functional.placement import Size
from mmgradsplit.utils.config_text import read_config_text
from mmgradsplit.utils.safetensors_files import from_text

from .inferencer import MultiTaskInferencer


class OnnxInferencer(MultiTaskInferencer):
    """What an ONNX file of ``mmgradsplit export`` says of pictures.

    Reading, placing and decoding are those of :class:`MultiTaskInferencer`; in place of backbone
    and heads, onnxruntime runs the graph. It takes the same calls, with the graph's size of images
    and in one pass.

    Args:
        file: The ``.onnx`` file, which holds config and names.
        providers: Of onnxruntime, by default those that it has, a GPU first.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not one that mmgradsplit exported.
    """

    def __init__(self, file: str | Path, providers: Sequence[str] | None = None) -> None:
        onnxruntime = import_onnxruntime()
        if not Path(file).is_file():
            raise FileNotFoundError(f"no ONNX file '{file}'")
        try:
            session = onnxruntime.InferenceSession(
                str(file), providers=list(providers or onnxruntime.get_available_providers())
            )
        except Exception as error:  # onnxruntime's own kinds, which it does not name
            first = str(error).partition('\n')[0]
            raise ValueError(f"'{file}' is no ONNX file that can be run: {first}") from error
        texts = session.get_modelmeta().custom_metadata_map
        if 'mmgradsplit' not in texts:
            raise ValueError(f"'{file}' was not written by `mmgradsplit export --format onnx`")
        meta = from_text(texts['mmgradsplit'])
        super().__init__(read_config_text(meta['cfg'], file), device='cpu')
        self.model.dataset_meta = meta['dataset_meta']
        self.model.input_size = tuple(meta['size'])
        self.tasks = meta['tasks']
        self.graph = _Graph(session, self.model, self.tasks, meta['normalised'])
        self.graph.take_over(self.model)

    def _shared_size(self, tasks: Sequence[str], size: Size | None) -> Size | None:
        """See :class:`MultiTaskInferencer`; a graph may take images of one size alone."""
        taken = super()._shared_size(tasks, size)
        own = self.model.input_size
        if not self.graph.any_size and taken is not None and taken != own:
            raise ValueError(
                f'the graph takes images of {own[0]}x{own[1]}, got {taken[0]}x{taken[1]}; export '
                f'it with this size, or with --dynamic-size'
            )
        return taken

    def stream(self, inputs: Any, *, passes: Any = 'shared', **options: Any) -> Any:
        """As :meth:`MultiTaskInferencer.stream`, in one pass.

        Raises:
            ValueError: If ``passes`` is not ``'shared'``.
        """
        if passes != 'shared':
            raise ValueError("a graph has all tasks in one pass: passes must be 'shared'")
        return super().stream(inputs, **options)


class _Graph(nn.Module):
    """Stands for the backbone: runs the graph, and hands its outputs to the heads."""

    def __init__(self, session: Any, model: Any, tasks: Sequence[str], normalised: bool) -> None:
        super().__init__()
        self.session = session
        self.names = [each.name for each in session.get_outputs()]
        self.any_size = not all(isinstance(n, int) for n in session.get_inputs()[0].shape[2:])
        self.mean, self.std, self.flip = normalisation(model, tasks)
        self.normalised = normalised
        self.outputs: Mapping[str, Tensor] = {}

    def take_over(self, model: Any) -> None:
        """Let the heads of a model put out what the graph computes."""
        model.backbone = self
        model.backbone_pass.backbone = self
        for name, task in model.tasks.items():
            if getattr(task, 'neck', None) is not None:
                task.neck = nn.Identity()
            head = head_of(task)
            # The re-identification head predicts its embedding, all others their output.
            kind = 'pre_logits' if f'{name}/embedding' in self.names else 'forward'
            setattr(head, kind, _Handed(self, name))

    def forward(self, inputs: Tensor) -> tuple[Tensor]:
        """Run the graph on normalised images, shape [N x 3 x H x W]."""
        images = inputs
        if not self.normalised:
            # Exact: before they were normalised these were whole numbers.
            images = (inputs * self.std + self.mean).round().clamp(0, 255).to(torch.uint8)
            images = images.flip(1) if self.flip else images
        found = self.session.run(None, {INPUT: np.ascontiguousarray(images.numpy())})
        self.outputs = dict(zip(self.names, map(torch.from_numpy, found), strict=True))
        return (inputs,)


class _Handed:
    """In place of a head's function: the outputs of the graph, nested as the head's are."""

    def __init__(self, graph: _Graph, task: str) -> None:
        self.graph, self.task = graph, task

    def __call__(self, *_given: Any, **_options: Any) -> Any:
        tree: dict[int, Any] = {}
        for name, value in self.graph.outputs.items():
            task, _slash, output = name.partition('/')
            path = [int(part) for part in output.split('_')[1:]]  # outputs_1_0: the first of two
            if task != self.task:
                continue
            if not path:
                return value
            place = tree
            for part in path[:-1]:
                place = place.setdefault(part, {})
            place[path[-1]] = value
        return _tuples(tree)


def _tuples(tree: Any) -> Any:
    return tuple(_tuples(each) for each in tree.values()) if isinstance(tree, dict) else tree
