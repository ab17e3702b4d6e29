"""Time and memory of a major iteration: bare PyTorch, multi-head baseline, GradSplit.

All three train the network of the config on the same batches, which stay in memory. In one run
they take turns, so that a noisy machine slows all of them; the table gives medians and ratios. Peak
memory is measured in a fresh process for each.

Example:
    python benchmarks/major_iteration.py configs/gradsplit/r50gn_4task.py --repeats 20 \
        --cfg-options train_dataloader.pose.batch_size=16
"""

import argparse
import copy
import json
import statistics
import tempfile
from collections.abc import Callable

import torch
from _shared import (
    Batches,
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
from mmengine.logging import print_log
from mmengine.registry import OPTIMIZERS
from mmengine.runner import Runner
from rich.console import Console
from rich.table import Table

from mmgradsplit.apis.preparation import prepare

BARE, MULTI_HEAD, GRADSPLIT = 'bare PyTorch', 'multi-head', 'GradSplit'


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', help='a config with GradSplitOptimWrapper')
    add_options(parser, 'timed major iterations of each')
    kinds = [BARE, MULTI_HEAD, GRADSPLIT]
    parser.add_argument('--memory-of', choices=kinds, help=argparse.SUPPRESS)
    return parser.parse_args()


def bare_step(runner: Runner, cfg: Config, batches: Batches) -> Callable[[], None]:
    """One major iteration in plain PyTorch: an optimizer a task, no hooks."""
    model = runner.model.train()
    shared = list(model.backbone.parameters())
    optimizers = {
        task: OPTIMIZERS.build(
            dict(cfg.optim_wrapper.optimizer, params=shared + list(head.parameters()))
        )
        for task, head in model.tasks.items()
    }

    def step() -> None:
        for task, batch in batches.items():
            head = model.tasks[task]
            losses = head(**head.data_preprocessor(batch, True), mode='loss')
            loss = sum(value for name, value in losses.items() if 'loss' in name)
            loss.backward()
            optimizers[task].step()
            optimizers[task].zero_grad()
            float(loss.detach())  # every loop logs its losses

    return step


def build_step(kind: str, cfg: Config, work_dir: str) -> Callable[[], None]:
    """The major iteration of one kind."""
    cfg = copy.deepcopy(cfg)
    if kind != GRADSPLIT:
        cfg.optim_wrapper.relations = 'all'
    runner = build_runner(cfg, work_dir)
    batches = next(iter(runner.train_loop.dataloader))
    if kind == BARE:
        return bare_step(runner, cfg, batches)
    loop = start_training(runner)
    return lambda: loop.run_iter(0, batches)


def main() -> None:
    """Measure, and print the table."""
    args = parse_args()
    torch.set_num_threads(args.threads)
    cfg = prepare(args.config, cfg_options=args.cfg_options)
    run_in_one_process(cfg, args.batch_size)
    with tempfile.TemporaryDirectory() as work_dir:
        if args.memory_of:
            step = build_step(args.memory_of, cfg, work_dir)
            for _ in range(2):
                step()
            print(peak_memory())
            return
        memory = {
            kind: in_fresh_process('--memory-of', kind) for kind in (BARE, MULTI_HEAD, GRADSPLIT)
        }
        steps = {kind: build_step(kind, cfg, work_dir) for kind in memory}
        times = take_turns(steps, args.repeats)
    report(args, times, memory)


def report(args: argparse.Namespace, times: Times, memory: dict[str, float]) -> None:
    """Print the table of medians and ratios, and write them where asked."""
    table = Table(
        title=f'{args.config}: {device()}, {args.threads} threads, {args.repeats} repeats'
    )
    for column in ('', 'seconds', 'to bare', 'to multi-head', 'peak MiB'):
        table.add_column(column, justify='right' if column else 'left')
    rows = {}
    for kind, seconds in times.items():
        ratios = [ratio(seconds, times[base]) for base in (BARE, MULTI_HEAD)]
        rows[kind] = [statistics.median(seconds), *ratios, memory[kind]]
        table.add_row(kind, *(f'{v:.3f}' for v in rows[kind][:3]), f'{memory[kind]:.0f}')
    Console().print(table)
    if args.out:
        with open(args.out, 'w') as file:
            json.dump(dict(rows=rows, times=times, device=device()), file, indent=1)
        print_log(f'written: {args.out}')


if __name__ == '__main__':
    main()
