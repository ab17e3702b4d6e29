"""What the benchmarks share: single iterations of a config, turns, ratios and peak memory."""

import argparse
import copy
import gc
import json
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import Any

import torch
from mmengine.config import Config, DictAction
from mmengine.runner import BaseLoop, Runner
from rich.progress import track
from torch.autograd.profiler import profile

from mmgradsplit.registry import LOOPS

Batches = dict[str, dict[str, Any]]
Times = dict[str, list[float]]


def add_options(parser: argparse.ArgumentParser, repeats: str) -> None:
    """Add the options that all benchmarks have.

    Args:
        parser: The benchmark's.
        repeats: What ``--repeats`` counts.
    """
    parser.add_argument('--repeats', type=int, default=10, help=repeats)
    parser.add_argument('--batch-size', type=int, help='of every data set')
    parser.add_argument('--threads', type=int, default=torch.get_num_threads())
    parser.add_argument('--out', help='JSON file for the numbers')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction)


@LOOPS.register_module(force=True)
class GivenMetrics(BaseLoop):
    """A validation that takes no time, for it always gives the same metrics.

    Args:
        runner: mmengine's runner.
        dataloader: Not used.
        evaluator: Not used.
        metrics: The metrics, by ``task/metric``.
    """

    def __init__(
        self, runner: Runner, dataloader: Any, evaluator: Any, metrics: Mapping[str, float]
    ) -> None:
        super().__init__(runner, dataloader)
        self.metrics = dict(metrics)

    def run(self) -> dict[str, float]:
        """The metrics."""
        return dict(self.metrics)


def build_runner(cfg: Config, work_dir: str, metrics: Mapping[str, float] | None = None) -> Runner:
    """A runner of the config that only trains: no schedule, no custom hooks.

    Args:
        cfg: The config.
        work_dir: Working directory of the runner.
        metrics: Those of each validation; without, there is none.
    """
    # Without laying it out as code: mmengine does that several times, which takes seconds.
    cfg = Config(copy.deepcopy(cfg).to_dict(), format_python_code=False)
    cfg.val_dataloader = cfg.val_cfg = cfg.val_evaluator = None
    if metrics is not None:
        cfg.val_dataloader = cfg.val_evaluator = []
        cfg.val_cfg = dict(type='mmgradsplit.GivenMetrics', metrics=metrics)
    cfg.test_dataloader = cfg.test_cfg = cfg.test_evaluator = None
    cfg.work_dir = work_dir
    cfg.custom_hooks = []
    cfg.param_scheduler = None
    cfg.log_level = 'ERROR'
    cfg.experiment_name = f'benchmark_{time.time()}'
    return Runner.from_cfg(cfg)


def run_in_one_process(cfg: Config, batch_size: int | None = None) -> None:
    """Let this process load the training data, in batches of a size.

    Args:
        cfg: A multi-task config, joint or round-robin; it changes.
        batch_size: Batch size of each dataloader; by default its own.
    """
    loaders = cfg.train_dataloader
    for loader in [loaders] if 'dataset' in loaders else loaders.values():
        loader.update(num_workers=0, persistent_workers=False)
        if batch_size:
            loader.batch_size = batch_size
            if 'batch_size' in loader.get('sampler', {}):
                loader.sampler.batch_size = batch_size
                loader.sampler.num_instances = max(2, batch_size // 4)


def start_training(runner: Runner) -> Any:
    """Do what mmengine and the loop do before the first iteration; returns the loop."""
    loop: Any = runner.train_loop
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    runner.call_hook('before_run')
    loop.begin()
    runner.call_hook('before_train')
    runner.call_hook('before_train_epoch')
    runner.model.train()
    return loop


def take_turns(
    steps: Mapping[str, Callable[[], None]],
    repeats: int,
    clock: Callable[[], float] = time.perf_counter,
) -> Times:
    """Seconds of each step, ``repeats`` times, one after another; a first turn warms up."""
    times: Times = {kind: [] for kind in steps}
    for repeat in track(range(repeats + 1), 'iterations'):
        for kind, step in steps.items():
            _synchronize()
            start = clock()
            step()
            _synchronize()
            if repeat:
                times[kind].append(clock() - start)
    return times


def quiet_clock() -> Callable[[], float]:
    """The clock that hears least of other processes.

    With one thread on a CPU, that of the time this process has had the processor for.
    """
    alone = torch.get_num_threads() == 1 and not torch.cuda.is_available()
    return time.process_time if alone else time.perf_counter


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


def tensor_memory(work: Callable[[], None]) -> float:
    """Peak of the memory that tensors take while work is done, in MiB, above what they took before.

    On a CPU it is counted by torch's allocator as on a GPU, since the peak of a process is mostly
    that of the toolboxes. What oneDNN takes for itself is not in it.
    """
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    with profile(profile_memory=True) as profiler:
        work()
    events = list(profiler.kineto_results.experimental_event_tree())
    changes = []
    while events:
        event = events.pop()
        events += event.children
        # An allocation, or with a negative size its end.
        if isinstance(event.extra_fields, torch._C._profiler._ExtraFields_Allocation):
            changes.append((event.start_time_ns, event.extra_fields.alloc_size))
    sizes = [size for _, size in sorted(changes)]
    return max(accumulate(sizes), default=0) / 2**20


def device() -> str:
    """Name of the GPU, or of the processor's architecture."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine()


def _synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
