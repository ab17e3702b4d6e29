"""How a network embeds pictures for re-identification, by which a gallery knows its network."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from mmengine.config import Config

from mmgradsplit.functional.placement import Size

from .inferencer import MultiTaskInferencer, Passes
from .task_results import Embedding

ANY_SIZE = (64, 128)


@dataclass(frozen=True)
class Look:
    """How pictures are embedded, which must be the same for a gallery and its queries.

    Attributes:
        network: SHA-256 of the network's weights, in whichever file they are.
        task: The task whose result is the embedding.
        dimension: Length of the embedding.
        distance: ``'cosine'`` or ``'euclidean'``, as the task's ``ReIDMetric`` has it.
        passes: ``'own'``: pictures are seen as the task was validated; ``'shared'``: letterboxed.
        size: (width, height) of the network's input; None for that of the pictures.
        rule: How pictures are brought to this size.
    """

    network: str
    task: str
    dimension: int
    distance: str
    passes: Passes
    size: Size | None
    rule: str

    def options(self) -> dict[str, Any]:
        """Those of :meth:`~mmgradsplit.inference.MultiTaskInferencer.stream`."""
        size = self.size if self.passes == 'shared' else None
        return dict(tasks=[self.task], passes=self.passes, size=size)

    def differences(self, other: Look) -> str:
        """What is not the same, in words; empty where all is."""
        own, others = asdict(self), asdict(other)
        if self.network != other.network:
            return f'its weights are other ones ({self.network[:8]}, not {other.network[:8]})'
        return ', '.join(
            f'its {key} is {own[key]}, not {others[key]}' for key in own if own[key] != others[key]
        )


def look_of(
    inferencer: MultiTaskInferencer,
    task: str | None = None,
    passes: Passes = 'own',
    size: Size | None = None,
) -> Look:
    """How a network embeds pictures.

    Args:
        inferencer: The network.
        task: The task whose result is an embedding; by default the only one of this kind.
        passes: ``'own'`` or ``'shared'``, as for
            :meth:`~mmgradsplit.inference.MultiTaskInferencer.stream`.
        size: (width, height) of the shared input, by default that of the first task.

    Raises:
        KeyError: If there is no such task.
        ValueError: If no task's result is an embedding, or those of several are.
    """
    model = inferencer.model
    dimensions = {}
    width, height = model.input_size or ANY_SIZE
    black = np.zeros((height, width, 3), np.uint8)
    for name in inferencer.tasks if task is None else [task]:
        # By itself: tasks that cannot share an input are looked at, too.
        (result,) = inferencer([black], tasks=[name])
        said = result.tasks.get(name)
        if isinstance(said, Embedding):
            dimensions[name] = len(said.vector)
    if not dimensions:
        what = f"the task '{task}' gives no embedding" if task else 'no task gives an embedding'
        raise ValueError(f'{what}, such as a gallery is made of; the tasks are {inferencer.tasks}')
    if len(dimensions) > 1:
        raise ValueError(f'several tasks give an embedding: choose one of {[*dimensions]} by task')
    ((name, dimension),) = dimensions.items()
    taken, rule = size or model.input_size, 'letterbox'
    if passes == 'own':
        if size is not None:
            raise ValueError("passes='own' takes the task's own size: leave the size out")
        view = inferencer.views.get(name)
        taken, rule = (view.size, f'{view.rule} {view.padding:g}') if view else (None, 'unknown')
    return Look(
        network=weights_hash(model),
        task=name,
        dimension=dimension,
        distance=_distance(model.cfg, name),
        passes=passes,
        size=taken and (int(taken[0]), int(taken[1])),
        rule=rule,
    )


def weights_hash(model: torch.nn.Module) -> str:
    """SHA-256 of a model's weights, statistics and norms of the input, by their names.

    A checkpoint has the same one before and after ``mmgradsplit publish``.

    Args:
        model: The model.
    """
    digest = hashlib.sha256()
    values = dict(model.named_buffers()) | model.state_dict()
    for name in sorted(values):
        value = values[name].detach().cpu().contiguous()
        digest.update(f'{name} {value.dtype} {tuple(value.shape)}\n'.encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _distance(cfg: Config, task: str) -> str:
    """The distance by which the config measures a task."""
    evaluators = cfg.get('val_evaluator') or {}
    metrics = evaluators.get(task) if isinstance(evaluators, Mapping) else None
    for metric in [metrics] if isinstance(metrics, Mapping) else metrics or ():
        kind = metric.get('type')
        if getattr(kind, '__name__', str(kind)).rpartition('.')[2] == 'ReIDMetric':
            return metric.get('distance', 'cosine')
    return 'cosine'
