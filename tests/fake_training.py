"""Trains tiny networks on the CPU and on the device that is none, and counts what a GPU waits for.

A script of its own, as the device stays in its process: it prints what it found as JSON. It is run
with the project, ``tests`` and ``benchmarks`` in the path of Python.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import fake_device
import torch
from _shared import start_training
from fixtures_dense import dense_config, write_nyud
from fixtures_training import build, tiny_config, write_data
from mmengine.config import Config

STEPS = 3


def round_robin(folder: Path, workers: int = 0, batch_size: int = 4) -> Config:
    """Four tasks of three toolboxes, by GradSplit."""
    data = folder / 'four'
    if not data.exists():
        write_data(data)
    cfg = tiny_config(data, num_workers=workers, batch_size=batch_size)
    cfg.model.tasks.pose.train_cfg = dict(compute_acc=False)
    return cfg


def joint(folder: Path) -> Config:
    """Three dense tasks of the same images, by uniform weighting."""
    data = folder / 'scenes'
    if not data.exists():
        write_nyud(data, number=12)
    tasks = ('seg', 'depth', 'normal')
    return dense_config('ft_r18_scenes', data, folder, tasks, train_cfg__iters_per_epoch=STEPS)


def trained(cfg: Config, folder: Path, device: Any) -> dict[str, Any]:
    """Weights and losses after three iterations, and the counts of the second."""
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    cfg.test_cfg = cfg.test_dataloader = cfg.test_evaluator = None
    cfg.default_hooks.checkpoint = None
    cfg.param_scheduler = None
    counts = fake_device.Counts()
    there = mock.patch('mmengine.runner.runner.get_device', lambda: device)
    with there, fake_device.InUse():
        runner = build(cfg, folder / 'work')
        loop = start_training(runner)
        for number, batch in enumerate(loop.dataloader):
            if number == 1:
                with fake_device.counting() as counts:
                    loop.run_iter(number, batch)
            else:
                loop.run_iter(number, batch)
        loop.dataloader.close()
    scalars = runner.message_hub.log_scalars
    logs = {k: v.data[0].tolist() for k, v in scalars.items() if 'loss' in k}
    weights = [p.detach().cpu() for p in runner.model.state_dict().values()]
    return dict(weights=weights, logs=logs, counts=counts)


def compare(config: Callable[[], Config], folder: Path) -> dict[str, Any]:
    """The same training on both devices."""
    here, there = (trained(config(), folder, d) for d in ('cpu', fake_device.DEVICE))
    counts = there['counts']
    pairs = zip(here['weights'], there['weights'], strict=True)
    return dict(
        same=all(torch.equal(a, b) for a, b in pairs) and here['logs'] == there['logs'],
        steps=[len(values) for values in there['logs'].values()],
        waits=counts.waits,
        copies=counts.copies,
    )


def validated(folder: Path, device: Any) -> tuple[dict[str, float], fake_device.Counts]:
    """Metrics of the four untrained tasks, and the counts of their validation."""
    there = mock.patch('mmengine.runner.runner.get_device', lambda: device)
    with there, fake_device.InUse():
        runner = build(round_robin(folder), folder / 'work')
        torch.manual_seed(0)
        with torch.no_grad():
            for param in runner.model.parameters():
                param.copy_(torch.randn(param.shape) / 8)
        with fake_device.counting() as counts:
            found = runner.val()
    return {name: float(value) for name, value in found.items()}, counts


def compare_validations(folder: Path) -> dict[str, Any]:
    """The same validation on both devices."""
    here, _ = validated(folder, 'cpu')
    there, counts = validated(folder, fake_device.DEVICE)
    return dict(same=here == there, metrics=there, waits=counts.waits, copies=counts.copies)


def main(folder: Path) -> None:
    """Print what was found."""
    found = dict(
        round_robin=compare(lambda: round_robin(folder), folder),
        workers=compare(lambda: round_robin(folder, workers=1, batch_size=2), folder),
        joint=compare(lambda: joint(folder), folder),
        validation=compare_validations(folder),
    )
    print(json.dumps(found))


if __name__ == '__main__':
    main(Path(sys.argv[1]))
