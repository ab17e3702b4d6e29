"""A MultiTaskModel of real upstream parts that trains in milliseconds, and what tests ask of it."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseDataPreprocessor
from mmpretrain.structures import DataSample
from torch import Tensor, nn

from mmgradsplit.models import MultiTaskModel
from mmgradsplit.optim import GradSplitOptimWrapper
from mmgradsplit.registry import MODELS, OPTIM_WRAPPER_CONSTRUCTORS

TASKS = ('red', 'green', 'blue')
CLASSES = (3, 4, 5)
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


def build_wrapper(
    model: nn.Module, paramwise_cfg: dict | None = None, **cfg: Any
) -> GradSplitOptimWrapper:
    """The optim wrapper as Runner builds it; plain SGD unless ``cfg`` says otherwise."""
    cfg = {'optimizer': dict(type='SGD', lr=0.1), **cfg}
    constructor = OPTIM_WRAPPER_CONSTRUCTORS.build(
        dict(
            type='GradSplitOptimWrapperConstructor',
            optim_wrapper_cfg=dict(type='GradSplitOptimWrapper', **cfg),
            paramwise_cfg=paramwise_cfg,
        )
    )
    return constructor(model)


def train(
    model: nn.Module,
    wrapper: GradSplitOptimWrapper,
    steps: Sequence[int],
    dtype: torch.dtype = torch.float32,
) -> Iterator[str]:
    """Train the major iterations ``steps``; yields the task after each task step."""
    for step in steps:
        for task in TASKS:
            model.train_step(toy_batch(task, step, dtype=dtype), optim_wrapper=wrapper[task])
            yield task


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
