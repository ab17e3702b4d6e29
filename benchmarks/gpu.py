"""Everything that is to be known of training on a GPU, in a few minutes, on the card that is there.

1. A major iteration of a GradSplit config: bare PyTorch, bare PyTorch with our transfer, the
   multi-head baseline and GradSplit in each precision, with channels last, and compiled. They take
   turns on the same batches, which stay in the host's memory. Time, waits for the device, launches,
   kernel time and peak memory.
2. End to end: major iterations with decoding by worker processes; the share that waits for data.
3. The methods on AMTL's network, beside its Table C.
4. The tests for a GPU.

A part that the time is over for is left out, and the table says so. ``--device cpu --tiny``
rehearses all of it without a GPU. ``--device fake --tiny`` counts waits and launches of part 1 on a
device that is none, see ``fake_device.py``.

Example:
    python benchmarks/gpu.py --out gpu.json --cfg-options \
        train_dataloader.attribute.dataset.data_root=data/pedestrians/pa100k
    python benchmarks/gpu.py --device cpu --tiny --pedestrians data/pedestrians
"""

import argparse
import copy
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import methods
import torch
from _shared import (
    build_runner,
    device,
    ratio,
    run_in_one_process,
    start_training,
    take_turns,
    tensor_memory,
)
from major_iteration import bare_step
from mmengine.config import Config, DictAction

from mmgradsplit.apis.preparation import prepare, use_mixed_precision
from mmgradsplit.engine.loops.packing import PackedBatch
from mmgradsplit.engine.loops.transfer import Transfer
from mmgradsplit.utils.tables import TextTable

BARE, SENT, MULTI_HEAD = 'bare PyTorch', 'bare, our transfer', 'multi-head'
GRADSPLIT = 'GradSplit'
LAST = {'model.channels_last': True}
COMPILED = {'model.compile_backbone': True}
# By name: changes of the config, and the type of mixed precision.
KINDS: dict[str, tuple[dict[str, Any], str | None]] = {
    BARE: ({'optim_wrapper.relations': 'all'}, None),
    SENT: ({'optim_wrapper.relations': 'all'}, None),
    MULTI_HEAD: ({'optim_wrapper.relations': 'all'}, None),
    GRADSPLIT: ({}, None),
    'GradSplit, fused': ({'optim_wrapper.optimizer.fused': True}, None),
    'GradSplit, compiled': (COMPILED, None),
    'GradSplit, float16': ({}, 'float16'),
    'GradSplit, bfloat16': ({}, 'bfloat16'),
    '+ channels last': (LAST, 'bfloat16'),
    '+ compiled': ({**LAST, **COMPILED}, 'bfloat16'),
}
LOADERS = dict(attribute='pa100k', reid='market1501', pose='mpii', parsing='lip')
WAITS = ('cudaStreamSynchronize', 'cudaDeviceSynchronize', 'cudaEventSynchronize')
Rows = dict[str, dict[str, Any]]


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--config', help='a round-robin config with GradSplitOptimWrapper')
    parser.add_argument('--device', choices=['cuda', 'cpu', 'fake'], default='cuda')
    parser.add_argument('--tiny', action='store_true', help='a small network, two samples a batch')
    parser.add_argument('--pedestrians', help='folder of drawn pedestrians, for all four tasks')
    parser.add_argument('--scenes', help='folder of drawn scenes; without, no methods')
    parser.add_argument('--batch-size', type=int)
    parser.add_argument('--repeats', type=int)
    parser.add_argument('--workers', type=int, default=4, help='of each task, end to end')
    parser.add_argument('--iterations', type=int, help='end to end (default: 200)')
    parser.add_argument('--kinds', nargs='+', choices=list(KINDS), default=list(KINDS))
    parser.add_argument('--parts', nargs='+', type=int, default=[1, 2, 3, 4])
    parser.add_argument('--seconds', type=float, default=360, help='begin no part after these')
    parser.add_argument('--out', help='JSON file for the numbers')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction)
    args = parser.parse_args()
    if args.device == 'cuda' and not torch.cuda.is_available():
        parser.error('there is no GPU; --device cpu --tiny rehearses without one')
    name = 'r18gn_4task_demo_long' if args.tiny else 'r50gn_4task'
    args.config = args.config or f'gradsplit/{name}.py'
    for key, small, large in (('batch_size', 4, 64), ('repeats', 2, 10), ('iterations', 3, 200)):
        setattr(args, key, getattr(args, key) or (small if args.tiny else large))
    return args


class InMemory:
    """Stands for the dataloader: always the same batches, sent as those of workers are.

    Args:
        loader: The dataloader.
        batches: A batch of each task.
    """

    def __init__(self, loader: Any, batches: dict[str, Any]) -> None:
        self.loader = loader
        packed = {task: PackedBatch.of(batch) for task, batch in batches.items()}
        pin = torch.cuda.is_available()
        self.packed = {task: each.pin_memory() if pin else each for task, each in packed.items()}
        self._ahead: dict[str, Any] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)

    def __len__(self) -> int:
        return len(self.loader)

    def look_ahead(self) -> None:
        """Begin to move the batches, as the training loop asks for it."""
        if self._ahead is None:
            send = self.loader.transfer.send
            self._ahead = {task: send(each) for task, each in self.packed.items()}

    def items(self) -> Any:
        """Tasks with their batches, on the device."""
        self.look_ahead()
        batches, self._ahead = self._ahead, None
        self.loader.transfer.arrive()
        return batches.items()  # type: ignore[union-attr]


def configured(args: argparse.Namespace, changes: dict[str, Any], dtype: str | None) -> Config:
    """The config of a kind."""
    options = dict(args.cfg_options or {})
    if args.pedestrians:
        for task, folder in LOADERS.items():
            key = f'train_dataloader.{task}.dataset.data_root'
            options[key] = str(Path(args.pedestrians, folder))
    options.update(changes)
    if args.tiny and 'model.compile_backbone' in options:
        options['model.compile_backbone'] = dict(backend='aot_eager')  # nothing is compiled
    cfg = prepare(args.config, cfg_options=options)
    if dtype is not None:
        if args.device == 'cuda':
            cfg.optim_wrapper.setdefault('base', {})['dtype'] = dtype
        use_mixed_precision(cfg)
    return cfg


def build_step(
    name: str, args: argparse.Namespace, batches: dict[str, Any], work_dir: str
) -> Callable[[], None]:
    """A major iteration of a kind.

    Args:
        name: The kind.
        args: The command line.
        batches: Filled with a batch of each task by the first kind, and given to all others.
        work_dir: Working directory of the runner.
    """
    cfg = configured(args, *KINDS[name])
    run_in_one_process(cfg, args.batch_size)
    runner = build_runner(cfg, work_dir)
    loop = runner.train_loop
    if not batches:
        plain = copy.copy(loop.dataloader)
        loop.dataloader.transfer = Transfer(torch.device('cpu'))
        batches.update(next(iter(loop.dataloader)))
        loop.dataloader = plain
    if name == BARE:
        return bare_step(runner, cfg, batches)
    memory = InMemory(loop.dataloader, batches)
    if name == SENT:
        return bare_step(runner, cfg, memory)  # type: ignore[arg-type]
    loop = start_training(runner)
    loop.dataloader = memory
    return lambda: loop.run_iter(0, dict(memory.items()))


def counted(step: Callable[[], None]) -> dict[str, float]:
    """Waits, launches, and the share of kernel time in the time of a step, by the profiler."""
    if not torch.cuda.is_available():
        return {}
    from torch.profiler import ProfilerActivity, profile

    torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiler:
        start = time.perf_counter()
        step()
        torch.cuda.synchronize()
        wall = time.perf_counter() - start
    events = profiler.key_averages()
    # One is that of the last line.
    waits = sum(event.count for event in events if event.key in WAITS) - 1
    launches = sum(event.count for event in events if event.key.startswith('cudaLaunchKernel'))
    kernels = sum(event.self_device_time_total for event in events) / 1e6
    return dict(waits=waits, launches=launches, kernels=kernels / wall)


def major_iteration(args: argparse.Namespace, work_dir: str) -> Rows:
    """Part 1: a row for each kind; what a kind fails with is its error."""
    batches: dict[str, Any] = {}
    steps: dict[str, Callable[[], None]] = {}
    rows: Rows = {}
    for name in args.kinds:
        try:
            steps[name] = build_step(name, args, batches, work_dir)
            steps[name]()  # compiles, and makes the optimizers' states
            rows[name] = dict(mib=tensor_memory(steps[name]), **counted(steps[name]))
        except Exception as error:  # of whatever kind, it belongs into the table
            steps.pop(name, None)
            rows[name] = dict(error=f'{type(error).__name__}: {error}'.splitlines()[0])
    times = take_turns(steps, args.repeats)
    for name, seconds in times.items():
        rows[name]['seconds'] = statistics.median(seconds)
        for base in (BARE, MULTI_HEAD, GRADSPLIT):
            if base in times:
                rows[name][f'to {base}'] = ratio(seconds, times[base])
    return rows


def waits_by_fake_device(args: argparse.Namespace, work_dir: str) -> Rows:
    """Part 1 on the device that is none: copies, waits and launches."""
    import fake_device

    rows: Rows = {}
    batches: dict[str, Any] = {}
    there = mock.patch('mmengine.runner.runner.get_device', lambda: fake_device.DEVICE)
    with there, fake_device.InUse():
        for name in (BARE, SENT, MULTI_HEAD, GRADSPLIT):
            step = build_step(name, args, batches, work_dir)
            step()
            with fake_device.counting() as counts:
                step()
            rows[name] = dict(
                waits=sum(counts.waits.values()),
                copies=sum(counts.copies.values()),
                launches=counts.launches,
                places=dict(counts.waits.most_common()),
            )
    return rows


def end_to_end(args: argparse.Namespace, work_dir: str) -> dict[str, float]:
    """Part 2: images a second with decoding by workers, and the share that waits for data."""
    cfg = configured(args, {}, 'bfloat16')
    for loader in cfg.train_dataloader.values():
        loader.update(num_workers=1 if args.tiny else args.workers)
    if args.tiny:
        for loader in cfg.train_dataloader.values():
            loader.batch_size = 4
        cfg.train_dataloader.reid.sampler.update(batch_size=4, num_instances=2)
    cfg.train_cfg.iters_per_epoch = args.iterations + 2
    loop = start_training(build_runner(cfg, work_dir))
    images = sum(loader.batch_size for loader in cfg.train_dataloader.values())
    waiting, begin, start = 0.0, 0.0, time.perf_counter()
    for number, batch in enumerate(loop.dataloader):
        now = time.perf_counter()
        if number == 1:  # the workers have started, the first iteration is over
            waiting, begin = 0.0, start
        waiting += now - start
        loop.run_iter(number, batch)
        start = time.perf_counter()
        if number == args.iterations:
            break
    loop.dataloader.close()
    seconds = start - begin
    return dict(
        images_per_second=args.iterations * images / seconds,
        share_waiting=waiting / seconds,
        seconds=seconds / args.iterations,
    )


def by_method(args: argparse.Namespace, work_dir: str) -> Rows:
    """Part 3: AMTL's network with DeepLabV3+ at 480 x 640, by the methods of its Table C."""
    size, batch = ((128, 96), 2) if args.tiny else ((640, 480), 8)
    wide = 'train_dataloader.dataset.'
    options = {
        wide + 'data_root': args.scenes,
        wide + 'num_classes': 13,
        wide + 'pipeline.2.scale': size,
        wide + 'pipeline.3.crop_size': size[::-1],
        'model.backbone.backbone.init_cfg': None,
    }
    kinds = ['uw', 'dwa', 'gls', 'amtl', 'mgda_ub', 'imtl', 'mgda', 'pcgrad', 'cagrad']
    given = argparse.Namespace(
        methods=kinds[-1:] if args.tiny else kinds,
        batch_size=batch,
        repeats=args.repeats,
        at_once=3,
        cfg_options=options,
        out=None,
    )
    cfg = methods.load('amtl/uniform_r50_deeplabv3plus_nyuv2.py', given)
    return methods.measure(cfg, given, work_dir)


def gpu_tests(args: argparse.Namespace, work_dir: str) -> dict[str, str]:
    """Part 4: the last line of pytest's."""
    root = Path(__file__).resolve().parent.parent
    chosen = ['-k', 'half or plain', '--rehearse'] if args.tiny else []
    command = [sys.executable, '-m', 'pytest', '-q', '-m', 'gpu', 'tests', *chosen]
    result = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    lines = result.stdout.strip().splitlines()
    failed = [line for line in lines if line.startswith(('FAILED', 'ERROR'))]
    return dict(result=lines[-1] if lines else result.stderr[-300:], failed='; '.join(failed))


def report(parts: dict[str, Any]) -> None:
    """Print all tables."""
    columns = ['seconds', f'to {BARE}', f'to {MULTI_HEAD}', f'to {GRADSPLIT}']
    columns += ['waits', 'copies', 'launches', 'kernels', 'mib']
    rows = parts.get('major iteration', {})
    lines = [
        [name, *(f'{row[c]:.4g}' if c in row else '' for c in columns), row.get('error', '')]
        for name, row in rows.items()
    ]
    if lines:
        print(TextTable(['', *columns, 'error'], lines, words=['', 'error']).markdown())
    for name, part in parts.items():
        if name == 'methods':
            for method, row in part.items():
                known = {
                    key: row[key] for key in ('to_uniform', 'table_c', 'error') if row.get(key)
                }
                print(f'{method}: {known}')
        elif name != 'major iteration':
            print(f'{name}: {part}')


def main() -> None:
    """Measure part by part, and print what there is."""
    args = parse_args()
    torch.set_num_threads(1 if args.tiny else torch.get_num_threads())
    begin = time.perf_counter()
    parts: dict[str, Any] = dict(card='none, fake' if args.device == 'fake' else device())
    first = waits_by_fake_device if args.device == 'fake' else major_iteration
    known = {'major iteration': first, 'end to end': end_to_end, 'methods': by_method}
    known['gpu tests'] = gpu_tests  # type: ignore[assignment]
    for number, (name, part) in enumerate(known.items(), 1):
        late = time.perf_counter() - begin > args.seconds
        if number not in args.parts or (name == 'methods' and not args.scenes):
            continue
        with tempfile.TemporaryDirectory() as work_dir:
            parts[name] = 'left out: the time is over' if late else part(args, work_dir)
        if args.out:
            settings = {key: str(value) for key, value in vars(args).items()}
            Path(args.out).write_text(json.dumps(dict(parts, settings=settings), indent=1))
    parts['seconds'] = round(time.perf_counter() - begin)
    report(parts)


if __name__ == '__main__':
    main()
