"""What the benchmarks share: single iterations of a config, turns, ratios and peak memory.

May import torch, mmengine and rich.
"""

import copy
import json
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from mmengine.config import Config
from mmengine.runner import Runner
from rich.progress import track

Batches = dict[str, dict[str, Any]]
Times = dict[str, list[float]]


def build_runner(cfg: Config, work_dir: str) -> Runner:
    """A runner of the config that only trains: no validation, no schedule, no custom hooks."""
    cfg = copy.deepcopy(cfg)
    cfg.val_dataloader = cfg.val_cfg = cfg.val_evaluator = None
    cfg.test_dataloader = cfg.test_cfg = cfg.test_evaluator = None
    cfg.work_dir = work_dir
    cfg.custom_hooks = []
    cfg.param_scheduler = None
    cfg.log_level = 'ERROR'
    cfg.experiment_name = f'benchmark_{time.time()}'
    return Runner.from_cfg(cfg)


def build_loop(runner: Runner) -> tuple[Any, Batches]:
    """The training loop, and batches to run its iterations on, in memory."""
    loop = runner.build_train_loop(runner._train_loop)
    runner._train_loop = loop
    return loop, next(iter(loop.dataloader))


def start_training(runner: Runner) -> None:
    """Do what mmengine does between building the loop and its first iteration."""
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    runner.optim_wrapper.initialize_count_status(runner.model, 0, runner.train_loop.max_iters)
    runner.call_hook('before_run')
    runner.call_hook('before_train')
    runner.call_hook('before_train_epoch')
    runner.model.train()


def take_turns(steps: Mapping[str, Callable[[], None]], repeats: int) -> Times:
    """Seconds of each step, ``repeats`` times, one after another; a first turn warms up."""
    times: Times = {kind: [] for kind in steps}
    for repeat in track(range(repeats + 1), 'iterations'):
        for kind, step in steps.items():
            _synchronize()
            start = time.perf_counter()
            step()
            _synchronize()
            if repeat:
                times[kind].append(time.perf_counter() - start)
    return times


def ratio(seconds: Sequence[float], base: Sequence[float]) -> float:
    """Median ratio of neighbours in time, which see the same noise."""
    return statistics.median(a / b for a, b in zip(seconds, base, strict=True))


def in_fresh_process(option: str, kind: str) -> Any:
    """What this script, started with one more option, prints last, as JSON."""
    command = [sys.executable, *sys.argv, option, kind]
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(result.stdout.strip().splitlines()[-1])


def peak_memory() -> float:
    """Peak memory of this process in MiB: the GPU's where there is one."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def device() -> str:
    """Name of the GPU, or of the processor's architecture."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine()


def _synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
