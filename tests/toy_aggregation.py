"""Steps of joint and round-robin training on the toy of ``toy_joint``, one at a time."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from toy import ENDLESS, begin, registered
from toy_joint import SIZE, TASKS, ToyScenes, joint_config

from mmgradsplit.engine.loops.method import method_of
from mmgradsplit.registry import MODELS
from mmgradsplit.utils import unwrapped

# Arguments that have no default.
ARGUMENTS: dict[str, dict[str, Any]] = dict(
    CAGrad=dict(c=0.5),
    Constant=dict(weights=dict(add=0.5, first=0.2, norm=0.3)),
    FairGrad=dict(alpha=2.0),
    Krum=dict(n_byzantine=0),
    TrimmedMean=dict(trim_number=1),
)
DATA = ToyScenes()


@MODELS.register_module(force=True)
class ToyTwoLayers(nn.Module):
    """A shared backbone of two layers, ``first`` and ``last``."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(SIZE, 5, 1).double()
        self.last = nn.Conv2d(5, 6, 1).double()

    def forward(self, x: Tensor) -> tuple[Tensor]:
        return (torch.tanh(self.last(torch.tanh(self.first(x)))),)


@MODELS.register_module(force=True)
class ToyPyramid(ToyTwoLayers):
    """Two outputs, one of which is computed from the other; the tasks use the first."""

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        first = torch.tanh(self.first(x))
        return torch.tanh(self.last(first)), first


def toy(seed: int = 0, tasks: Sequence[str] = TASKS, backbone: str = 'ToyTrunk') -> Any:
    """The model, in float64."""
    torch.manual_seed(seed)
    cfg = joint_config(Path('toy'), tuple(tasks), model__backbone__type=backbone).model
    for task in tasks:
        cfg.tasks[task].data_preprocessor.type = 'mmgradsplit.ToyStack'  # built in mmengine's scope
    return MODELS.build(cfg).double().train()


def wrapper_of(
    network: nn.Module,
    name: str | None,
    task_steps: bool = False,
    total: int = ENDLESS,
    kind: str | None = None,
    **cfg: Any,
) -> Any:
    """An optimizer wrapper at the beginning of training.

    By SGD with lr=1 unless ``cfg`` says otherwise.

    Args:
        network: The model, or DistributedDataParallel around it.
        name: Name of TorchJD's aggregator, or None.
        task_steps: Whether training is round-robin; joint otherwise.
        total: Iterations in all.
        kind: Registered name of the wrapper; by default the aggregator's, or mmengine's own.
        **cfg: Other keys of ``optim_wrapper``.
    """
    options: dict[str, Any] = dict(optimizer=dict(type='SGD', lr=1.0))
    if name is not None:
        options['aggregator'] = dict(type=f'torchjd.{name}', **ARGUMENTS.get(name, {}))
    if kind is None:
        kind = 'OptimWrapper' if name is None else 'AggregatorOptimWrapper'
    wrapper = registered(network, kind, **options | cfg)
    begin(network, wrapper, total=total, task_steps=task_steps)
    return wrapper


def weighted(network: nn.Module, weighting: dict | None, **cfg: Any) -> Any:
    """The wrapper of a weighting, as :func:`wrapper_of` gives it."""
    return wrapper_of(network, None, kind='MultiTaskOptimWrapper', weighting=weighting, **cfg)


def batch_of(samples: Sequence[int]) -> dict[str, Any]:
    """A batch as the dataloader gives it."""
    parts = [DATA[i] for i in samples]
    return {key: [part[key] for part in parts] for key in ('inputs', 'data_samples')}


def joint_batch(
    samples: Sequence[int], tasks: Sequence[str] = TASKS, allocation: Any = None, counts: Any = None
) -> dict[str, Any]:
    """The batch of a sub-step; every sample has every task unless ``allocation`` says otherwise."""
    if allocation is None:
        allocation = np.ones((len(samples), len(tasks)), dtype=bool)
    return dict(batch_of(samples), allocation=np.asarray(allocation, dtype=bool), counts=counts)


def joint_step(network: nn.Module, wrapper: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
    """A step as the joint loop takes it, for a wrapper that does not work task by task.

    The images have the network's type.
    """
    batch = joint_batch(*args, **kwargs)
    dtype = next(network.parameters()).dtype
    batch['inputs'] = [image.to(dtype) for image in batch['inputs']]
    tasks = list(unwrapped(network).tasks)
    counts = batch['allocation'].sum(0) if batch['counts'] is None else batch['counts']
    present = [task for task, count in zip(tasks, counts, strict=True) if count]
    method_of(wrapper, tasks).begin_step(present, True)
    return network.train_step(batch, optim_wrapper=wrapper)


def task_loss(model: Any, task: str, samples: Sequence[int]) -> tuple[Tensor, Tensor]:
    """A task's loss written out, and the features that it is computed from."""
    (features,) = model.backbone(torch.stack([DATA[i]['inputs'] for i in samples]))
    head = model.tasks[task].head
    out = features.flatten(1) @ head.weight[0] + head.bias
    target = torch.stack([getattr(DATA[i]['data_samples'], f'gt_{task}') for i in samples])
    return ((out - target) ** 2).mean(), features


def gradient(value: Tensor, inputs: Sequence[Tensor]) -> Tensor:
    """Flattened, shape [P]."""
    found = torch.autograd.grad(value, list(inputs), retain_graph=True)
    return torch.cat([part.flatten() for part in found])


def task_matrix(
    model: Any,
    samples: Sequence[int],
    tasks: Sequence[str] = TASKS,
    params: Sequence[nn.Parameter] | None = None,
    factors: dict[str, float] | None = None,
) -> Tensor:
    """Task gradients on the backbone by plain autograd, shape [T x P]."""
    params = list(model.backbone.parameters()) if params is None else params
    rows = [gradient(task_loss(model, task, samples)[0], params) for task in tasks]
    return torch.stack([(factors or {}).get(t, 1.0) * r for t, r in zip(tasks, rows, strict=True)])


def values(params: Any) -> Tensor:
    """Values of the parameters, shape [P]."""
    return torch.cat([param.detach().flatten() for param in params])
