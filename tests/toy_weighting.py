"""Weightings in training on the toy of ``toy_joint``, with accuracies."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.runner import BaseLoop, Runner
from toy_joint import TASKS, ToyScenes, joint_config

from mmgradsplit.registry import LOOPS, METRICS

SINGLE = {'add/accuracy': 60.0, 'first/accuracy': 90.0, 'norm/accuracy': 40.0}
AMTL = dict(type='AMTLWeighting', references=SINGLE)
DTP = dict(type='DTPWeighting', metrics=list(SINGLE))
GRADNORM = dict(type='GradNormWeighting')
GRADSPLIT = dict(
    type='GradSplitOptimWrapper',
    optimizer=dict(type='SGD', lr=0.05),
    relations='all',
    modules=['conv'],
)


@METRICS.register_module(force=True)
class SilentMetric(BaseMetric):
    """Says nothing of whether lower is better."""


@METRICS.register_module(force=True)
class AccuracyMetric(SilentMetric):
    """Stands in the config for what ``ToyAccuracyLoop`` measures."""

    lower_is_better: ClassVar = {'accuracy': False}


@LOOPS.register_module(force=True)
class ToyAccuracyLoop(BaseLoop):
    """``100 * exp(-error)`` of each task on the training set as its accuracy."""

    def __init__(self, runner: Runner, dataloader: dict, evaluator: Any) -> None:
        super().__init__(runner, dataloader)

    def run(self) -> dict[str, float]:
        self.runner.call_hook('before_val')
        self.runner.call_hook('before_val_epoch')
        data = [ToyScenes()[index] for index in range(12)]
        inputs = torch.stack([sample['inputs'] for sample in data])
        metrics = {}
        model = self.runner.model
        with torch.no_grad():
            for task in TASKS:
                predicted = model(inputs, task=task, mode='tensor')
                wanted = [getattr(sample['data_samples'], f'gt_{task}') for sample in data]
                error = (predicted - torch.stack(wanted)).square().mean()
                metrics[f'{task}/accuracy'] = 100 * math.exp(-error.item() / 4)
        self.runner.call_hook('after_val_epoch', metrics=metrics)
        self.runner.call_hook('after_val')
        return metrics


def config(folder: Path, weighting: dict | None, validated: bool = False, **options: Any) -> Config:
    """A run of joint training by a weighting.

    Args:
        folder: Of the run.
        weighting: The key ``optim_wrapper.weighting``; None for mmengine's own wrapper.
        validated: Whether it validates after every epoch.
        **options: As for ``joint_config``.
    """
    cfg = joint_config(folder, **options)
    if weighting:
        cfg.optim_wrapper.setdefault('type', 'MultiTaskOptimWrapper')
        cfg.optim_wrapper.weighting = weighting
    cfg.log_processor = dict(window_size=1)
    evaluators = {task: dict(type='AccuracyMetric') for task in cfg.model.tasks}
    if validated:
        cfg.val_dataloader = cfg.train_dataloader
        cfg.val_cfg, cfg.val_evaluator = dict(type='ToyAccuracyLoop'), evaluators
    return cfg


def numbers(content: Any) -> Any:
    """NaN stands for what there is not yet, and is not equal to itself."""
    if isinstance(content, Mapping):
        return {key: numbers(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [numbers(value) for value in content]
    return content.nan_to_num(-1.0) if isinstance(content, torch.Tensor) else content
