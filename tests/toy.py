"""A MultiTaskModel of real upstream parts that trains in milliseconds, and what tests ask of it."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import torch.nn.functional as F
from mmengine.model import BaseDataPreprocessor
from mmengine.optim import build_optim_wrapper
from mmpretrain.structures import DataSample
from torch import Tensor, nn

from mmgradsplit.engine.loops.method import method_of
from mmgradsplit.models import MultiTaskModel
from mmgradsplit.registry import MODELS, OPTIM_WRAPPERS
from mmgradsplit.utils import unwrapped

TASKS = ('red', 'green', 'blue')
CLASSES = (3, 4, 5)
ENDLESS = 10**6
# A relation mask m[t][t'] that is asymmetric and has no two tasks alike.
MASK = ((1, 0, 1), (1, 1, 0), (0, 0, 1))
BACKBONE = dict(
    type='mmpretrain.ResNet',
    depth=18,
    base_channels=8,
    stem_channels=8,
    norm_cfg=dict(type='GN', num_groups=2),
    out_indices=(3,),
)


def classifier(num_classes: int = 3) -> dict:
    return dict(
        type='mmpretrain.ImageClassifier',
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', in_channels=64, num_classes=num_classes),
    )


def toy_model(dtype: torch.dtype = torch.float32, seed: int = 0, **backbone: Any) -> MultiTaskModel:
    """Three classifiers on a ResNet-18 whose last stage has 64 = 3 * 21 + 1 filters.

    ``backbone`` holds further arguments of the ResNet.
    """
    torch.manual_seed(seed)
    tasks = {task: classifier(n) for task, n in zip(TASKS, CLASSES, strict=True)}
    cfg = dict(type='MultiTaskModel', backbone={**BACKBONE, **backbone}, tasks=tasks)
    model = MODELS.build(cfg)
    for task in model.tasks.values():
        task.data_preprocessor = BaseDataPreprocessor()  # leaves the images' type alone
    return model.to(dtype).train()


def toy_batch(task: str, step: int, size: int = 2, dtype: torch.dtype = torch.float32) -> dict:
    """The batch of one task step: ``size`` images of noise with a label each."""
    number = TASKS.index(task)
    generator = torch.Generator().manual_seed(1000 * step + number)
    inputs = torch.randn(size, 3, 64, 64, generator=generator, dtype=dtype)
    labels = torch.randint(CLASSES[number], (size,), generator=generator)
    samples = [DataSample().set_gt_label(label) for label in labels]
    return dict(task=task, inputs=inputs, data_samples=samples)


def toy_loss(model: MultiTaskModel, batch: dict) -> Tensor:
    """The loss of a task written out, without the task's own code."""
    (features,) = model.backbone(batch['inputs'])
    fc = model.tasks[batch['task']].head.fc
    logits = fc(F.adaptive_avg_pool2d(features, 1).flatten(1))
    labels = torch.cat([sample.gt_label for sample in batch['data_samples']])
    return F.cross_entropy(logits, labels, reduction='none').mean()


def registered(network: nn.Module, kind: str, **cfg: Any) -> Any:
    """An optimizer wrapper as Runner builds it; plain SGD unless ``cfg`` says otherwise.

    Args:
        network: The model, or DistributedDataParallel around it.
        kind: Registered name of a wrapper of ours, or of mmengine's.
        **cfg: Other keys of ``optim_wrapper``.
    """
    wrapper = dict(type=OPTIM_WRAPPERS.get(kind), optimizer=dict(type='SGD', lr=0.1))
    if hasattr(wrapper['type'], 'constructor'):  # which ``prepare`` fills in
        wrapper['constructor'] = wrapper['type'].constructor
    return build_optim_wrapper(network, wrapper | cfg)


def begin(
    network: nn.Module, wrapper: Any, done: int = 0, total: int = ENDLESS, task_steps: bool = True
) -> None:
    """Tell the wrapper where training stands, as the loops do."""
    tasks = list(unwrapped(network).tasks)
    steps = dict.fromkeys(tasks, 1) if task_steps else {}
    method_of(wrapper, tasks).begin_training(network, done, total, 1, steps)


def build_wrapper(network: nn.Module, paramwise_cfg: dict | None = None, **cfg: Any) -> Any:
    """GradSplit's wrapper at the beginning of round-robin training.

    Each filter group is moved by its own task alone, unless ``cfg`` says otherwise.
    """
    options = dict(relations='none', paramwise_cfg=paramwise_cfg) | cfg
    wrapper = registered(network, 'GradSplitOptimWrapper', **options)
    begin(network, wrapper)
    return wrapper


def task_step(network: nn.Module, wrapper: Any, batch: dict[str, Any]) -> dict[str, Any]:
    """A task step as the round-robin loop takes it; the last task's ends the major iteration."""
    task, tasks = batch['task'], list(unwrapped(network).tasks)
    method_of(wrapper, tasks).begin_step([task], task == tasks[-1])
    return network.train_step(batch, optim_wrapper=wrapper)


def train(
    model: nn.Module, wrapper: Any, steps: Sequence[int], dtype: torch.dtype = torch.float32
) -> Iterator[str]:
    """Train the major iterations ``steps``; yields the task after each task step."""
    for step in steps:
        for task in TASKS:
            task_step(model, wrapper, toy_batch(task, step, dtype=dtype))
            yield task


def finish(
    model: nn.Module, wrapper: Any, steps: Sequence[int], dtype: torch.dtype = torch.float32
) -> None:
    """Train the major iterations ``steps``."""
    for _ in train(model, wrapper, steps, dtype):
        pass


def gradients(model: MultiTaskModel, task: str, step: int) -> dict[str, Tensor]:
    """Gradient of a task's loss, in float64, by the name of each parameter that it reaches."""
    params = dict(model.named_parameters())
    loss = toy_loss(model, toy_batch(task, step, dtype=torch.float64))
    found = torch.autograd.grad(loss, list(params.values()), allow_unused=True)
    return {name: grad for name, grad in zip(params, found, strict=True) if grad is not None}


def relations_of(mask: Sequence[Sequence[int]]) -> list[list[float]]:
    """A matrix ``A[t'][t]`` whose relation mask at any threshold in (-1, 0) is ``m[t][t']``."""
    n = len(mask)
    return [[0.0 if mask[t][other] else -1.0 for t in range(n)] for other in range(n)]


def snapshot(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def assert_same_weights(model: nn.Module, other: nn.Module) -> None:
    """Bit for bit."""
    ours, theirs = model.state_dict(), other.state_dict()
    assert list(ours) == list(theirs)
    different = [name for name in ours if not torch.equal(ours[name], theirs[name])]
    assert not different


def held_channels(
    name: str, size: int, task: int, mask: Sequence[Sequence[int]], split: set[str]
) -> list[int]:
    """Channels of a parameter that a task step of ``task`` moves, written out from the design."""
    if name.startswith('tasks.'):
        return list(range(size)) if name.startswith(f'tasks.{TASKS[task]}.') else []
    if name not in split:
        return list(range(size))
    n = size // len(TASKS)
    held = [t * n + i for t in range(len(TASKS)) if mask[t][task] for i in range(n)]
    return held + list(range(len(TASKS) * n, size))


def split_names(model: nn.Module, *roots: str, norms: bool = False) -> set[str]:
    """Names of the convolutions' (and norms') parameters below the backbone's ``roots``."""
    kinds = (nn.Conv2d, nn.GroupNorm) if norms else (nn.Conv2d,)
    return {
        f'backbone.{name}.{key}'
        for name, module in model.backbone.named_modules()
        for key, _ in module.named_parameters(recurse=False)
        if isinstance(module, kinds) and any(f'{name}.'.startswith(f'{r}.') for r in roots)
    }


def assert_close(model: nn.Module, other: nn.Module) -> None:
    """Parameters in float64 that differ by rounding alone."""
    for name, param in model.named_parameters():
        expected = other.get_parameter(name)
        torch.testing.assert_close(param, expected, rtol=1e-9, atol=1e-12, msg=name)


def in_two_ranks(work: Callable[[int, Path], None], folder: Path) -> None:
    """Run ``work(rank, folder)`` in two processes that train together.

    Forked processes have imported everything already.
    """
    mp.start_processes(_in_rank, args=(work, folder), nprocs=2, start_method='fork')


def _in_rank(rank: int, work: Callable[[int, Path], None], folder: Path) -> None:
    torch.set_num_threads(1)
    store = f'file://{folder}/rendezvous'
    dist.init_process_group('gloo', init_method=store, rank=rank, world_size=2)
    work(rank, folder)
    dist.destroy_process_group()
