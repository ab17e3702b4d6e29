"""Time, work and memory of a joint training iteration: Full Task, STA and ISTA.

All three train the network of the config on the same batch, which stays in memory, each time with
the allocation of another iteration. In one run they take turns, so that a noisy machine slows all
of them; the table gives medians and ratios. Peak memory and the work (floating point operations of
forward and backward pass, samples through each task's head) are measured in a fresh process for
each.

Example:
    python benchmarks/allocation.py configs/sta/mask_rcnn_r50_fpn_1x_coco.py --repeats 10
"""

import argparse
import copy
import json
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _shared import (
    Times,
    add_options,
    build_runner,
    device,
    in_fresh_process,
    peak_memory,
    ratio,
    run_in_one_process,
    start_training,
    take_turns,
)
from mmengine.config import Config
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from mmgradsplit.apis.methods import trains_jointly
from mmgradsplit.apis.preparation import prepare
from mmgradsplit.models import MultiTaskModel

FT, STA, ISTA = 'FT', 'STA', 'ISTA'
PER_UPDATE = 'ISTA, an update'  # against FT with the same number of updates
ALLOCATORS = {FT: 'FullTask', STA: 'STA', ISTA: 'ISTA'}


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', help='a config with JointTrainLoop, of any allocator')
    add_options(parser, 'timed iterations of each')
    parser.add_argument('--measure', choices=list(ALLOCATORS), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.repeats < 1:
        parser.error(f'--repeats must be at least 1, got {args.repeats}')
    return args


def load(args: argparse.Namespace) -> Config:
    """The config, for single iterations in one process."""
    cfg = prepare(args.config, cfg_options=args.cfg_options)
    if not trains_jointly(cfg):
        raise ValueError(
            f"{args.config}: train_cfg.type is '{cfg.train_cfg.get('type')}', but STA and ISTA are "
            f"ways of joint training, by 'JointTrainLoop'"
        )
    run_in_one_process(cfg, args.batch_size)
    # Weights are random and there is no warm-up: stay near them, so that losses stay finite.
    cfg.optim_wrapper.optimizer.lr = 1e-8
    return cfg


class Iterations:
    """Iterations of one kind.

    Args:
        kind: ``'FT'``, ``'STA'`` or ``'ISTA'``; size and weights of the subsets are the config's.
        cfg: The config.
        work_dir: Working directory of the runner.
    """

    def __init__(self, kind: str, cfg: Config, work_dir: str) -> None:
        cfg = copy.deepcopy(cfg)
        given = cfg.train_cfg.get('allocator') or {}
        options = {} if kind == FT else {k: given[k] for k in ('size', 'weights') if k in given}
        cfg.train_cfg.allocator = dict(type=f'mmgradsplit.{ALLOCATORS[kind]}', **options)
        self.runner = build_runner(cfg, work_dir)
        self.loop = start_training(self.runner)
        self.batches = next(iter(self.loop.dataloader))

    def run(self) -> None:
        """The next iteration, with mmengine's hooks."""
        self.loop.run_iter(0, self.batches)

    def work(self, repeats: int) -> dict[str, Any]:
        """Updates, samples by task, and floating point operations of an iteration.

        Args:
            repeats: Iterations to take the mean of; allocations differ.
        """
        model = self.runner.model
        images: list[int] = []
        allocated: list[Any] = []  # by sub-step and task

        def watch(_: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
            allocated.append(kwargs['allocation'].sum(0))

        hooks = (
            model.register_forward_pre_hook(watch, with_kwargs=True),
            model.backbone.register_forward_pre_hook(lambda _, args: images.append(len(args[0]))),
        )
        with FlopCounterMode(display=False) as counter:
            for _ in range(repeats):
                self.run()
        for hook in hooks:
            hook.remove()
        total = counter.get_total_flops() / repeats
        shared = sum(images) / repeats * self._shared_flops()
        return dict(
            updates=len(allocated) / repeats,
            samples=dict(zip(model.tasks, np.sum(allocated, axis=0) / repeats, strict=True)),
            flops=total,
            head_flops=total - shared,
        )

    def _shared_flops(self) -> float:
        """Operations for one image in what all tasks share, forward and backward."""
        model = self.runner.model
        (batch,) = self.batches.values()
        allocation = np.ones((len(batch['data_samples']), len(model.tasks)), dtype=bool)
        inputs = model.data_preprocessor(dict(batch, allocation=allocation), True)['inputs']
        with FlopCounterMode(display=False) as counter:
            features = shared_features(model, inputs)
            sum(part.sum() for part in features).backward()  # type: ignore[union-attr]
        return counter.get_total_flops() / len(inputs)


def shared_features(model: nn.Module, inputs: Tensor) -> tuple[Tensor, ...]:
    """Features of the backbone, or of a detector's neck.

    Args:
        model: A MultiTaskModel or a detector.
        inputs: shape [N x 3 x H x W].
    """
    if isinstance(model, MultiTaskModel):
        features = model.backbone_pass(inputs, next(iter(model.tasks)))
    else:
        features = model.extract_feat(inputs)
    return (features,) if isinstance(features, Tensor) else tuple(features)


def main() -> None:
    """Measure, and print the table."""
    args = parse_args()
    torch.set_num_threads(args.threads)
    cfg = load(args)
    with tempfile.TemporaryDirectory() as work_dir:
        if args.measure:
            iterations = Iterations(args.measure, cfg, work_dir)
            for _ in range(args.repeats):
                iterations.run()
            peak = peak_memory()
            print(json.dumps(dict(iterations.work(args.repeats), peak=peak)))
            return
        work = {kind: in_fresh_process('--measure', kind) for kind in ALLOCATORS}
        steps: dict[str, Callable[[], None]] = {
            kind: Iterations(kind, cfg, work_dir).run for kind in ALLOCATORS
        }
        times = take_turns(steps, args.repeats)
    report(args, times, work)


def report(args: argparse.Namespace, times: Times, work: dict[str, dict[str, Any]]) -> None:
    """Print the table of medians and ratios, and write them where asked."""
    updates = work[ISTA]['updates']
    times[PER_UPDATE] = [seconds / updates for seconds in times[ISTA]]
    work[PER_UPDATE] = dict(
        updates=1,
        samples={task: number / updates for task, number in work[ISTA]['samples'].items()},
        peak=work[ISTA]['peak'],
        **{key: work[ISTA][key] / updates for key in ('flops', 'head_flops')},
    )
    title = f'{Path(args.config).stem}: {device()}, {args.threads} threads, {args.repeats} repeats'
    table = Table(title=title, caption='in brackets: to FT', box=SIMPLE_HEAD, pad_edge=False)
    for column in ('', 'seconds', 'GFLOPs', 'of heads', 'samples', 'peak\nMiB'):
        table.add_column(column, justify='right' if column else 'left', no_wrap=True)
    for kind, seconds in times.items():
        row = work[kind]
        row['seconds'] = statistics.median(seconds)
        row['seconds_to_ft'] = ratio(seconds, times[FT])
        cells = [f'{row["seconds"]:.3g} ({row["seconds_to_ft"]:.2f})']
        for key in ('flops', 'head_flops'):
            row[f'{key}_to_ft'] = row[key] / work[FT][key]
            cells.append(f'{row[key] / 1e9:.1f} ({row[f"{key}_to_ft"]:.2f})')
        cells.append('\n'.join(f'{task} {number:.1f}' for task, number in row['samples'].items()))
        table.add_row(kind, *cells, f'{row["peak"]:.0f}')
    console = Console()
    console.print(table)
    if args.out:
        with open(args.out, 'w') as file:
            json.dump(dict(rows=work, times=times, device=device()), file, indent=1)
        console.print(f'written: {args.out}')


if __name__ == '__main__':
    main()
