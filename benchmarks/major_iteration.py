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
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import torch
from mmengine.config import Config, DictAction
from mmengine.logging import print_log
from mmengine.registry import OPTIMIZERS
from mmengine.runner import Runner
from rich.console import Console
from rich.progress import track
from rich.table import Table

BARE, MULTI_HEAD, GRADSPLIT = 'bare PyTorch', 'multi-head', 'GradSplit'
Batches = dict[str, dict[str, Any]]


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', help='a config with GradSplitOptimWrapper')
    parser.add_argument('--repeats', type=int, default=10, help='timed major iterations of each')
    parser.add_argument('--batch-size', type=int, help='batch size of every task')
    parser.add_argument('--threads', type=int, default=torch.get_num_threads())
    kinds = [BARE, MULTI_HEAD, GRADSPLIT]
    parser.add_argument('--memory-of', choices=kinds, help=argparse.SUPPRESS)
    parser.add_argument('--out', help='JSON file for the numbers')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction)
    return parser.parse_args()


def build_runner(cfg: Config, relations: str | None, work_dir: str) -> Runner:
    """A runner of the config without validation; ``relations`` overrides the config's."""
    cfg = copy.deepcopy(cfg)
    cfg.val_dataloader = cfg.val_cfg = cfg.val_evaluator = None
    cfg.test_dataloader = cfg.test_cfg = cfg.test_evaluator = None
    cfg.work_dir = work_dir
    cfg.custom_hooks = []
    cfg.param_scheduler = None
    cfg.log_level = 'ERROR'
    cfg.experiment_name = f'{relations}_{time.time()}'
    cfg.model.backbone.init_cfg = None
    if relations:
        cfg.optim_wrapper.relations = relations
    return Runner.from_cfg(cfg)


def loop_step(runner: Runner, batches: Batches) -> Callable[[], None]:
    """One major iteration of our loop, with mmengine's hooks."""
    loop = runner.build_train_loop(runner._train_loop)
    runner._train_loop = loop
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    runner.optim_wrapper.initialize_count_status(runner.model, 0, loop.max_iters)
    runner.call_hook('before_run')
    runner.call_hook('before_train')
    runner.call_hook('before_train_epoch')
    runner.model.train()
    return lambda: loop.run_iter(0, batches)


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
    runner = build_runner(cfg, None if kind == GRADSPLIT else 'all', work_dir)
    loop = runner.build_train_loop(runner._train_loop)
    batches = next(iter(loop.dataloader))
    if kind == BARE:
        return bare_step(runner, cfg, batches)
    return loop_step(runner, batches)


def synchronize() -> None:
    """Wait for the GPU, where there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def peak_memory() -> float:
    """Peak memory of this process in MiB: the GPU's where there is one."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def memory_of(kind: str) -> float:
    """Peak memory of one kind in MiB, in a process of its own."""
    command = [sys.executable, *sys.argv, '--memory-of', kind]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return float(output.strip().splitlines()[-1])


def main() -> None:
    """Measure, and print the table."""
    args = parse_args()
    torch.set_num_threads(args.threads)
    cfg = Config.fromfile(args.config)
    for loader in cfg.train_dataloader.values():
        loader.num_workers = 0
        if args.batch_size:
            loader.batch_size = args.batch_size
            if 'batch_size' in loader.sampler:
                loader.sampler.batch_size = args.batch_size
                loader.sampler.num_instances = max(2, args.batch_size // 4)
    cfg.merge_from_dict(args.cfg_options or {})
    with tempfile.TemporaryDirectory() as work_dir:
        if args.memory_of:
            step = build_step(args.memory_of, cfg, work_dir)
            for _ in range(2):
                step()
            print(peak_memory())
            return
        memory = {kind: memory_of(kind) for kind in (BARE, MULTI_HEAD, GRADSPLIT)}
        steps = {kind: build_step(kind, cfg, work_dir) for kind in memory}
        times: dict[str, list[float]] = {kind: [] for kind in steps}
        for repeat in track(range(args.repeats + 1), 'major iterations'):
            for kind, step in steps.items():
                synchronize()
                start = time.perf_counter()
                step()
                synchronize()
                if repeat:  # the first warms up
                    times[kind].append(time.perf_counter() - start)
    report(args, times, memory)


def report(
    args: argparse.Namespace, times: dict[str, list[float]], memory: dict[str, float]
) -> None:
    """Print the table of medians and ratios, and write them where asked."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine()
    table = Table(title=f'{args.config}: {device}, {args.threads} threads, {args.repeats} repeats')
    for column in ('', 'seconds', 'to bare', 'to multi-head', 'peak MiB'):
        table.add_column(column, justify='right' if column else 'left')
    rows = {}
    for kind, seconds in times.items():
        # The ratio of neighbours in time, which see the same noise.
        ratios = [
            statistics.median(a / b for a, b in zip(seconds, times[base], strict=True))
            for base in (BARE, MULTI_HEAD)
        ]
        rows[kind] = [statistics.median(seconds), *ratios, memory[kind]]
        table.add_row(kind, *(f'{v:.3f}' for v in rows[kind][:3]), f'{memory[kind]:.0f}')
    Console().print(table)
    if args.out:
        with open(args.out, 'w') as file:
            json.dump(dict(rows=rows, times=times, device=device), file, indent=1)
        print_log(f'written: {args.out}')


if __name__ == '__main__':
    main()
