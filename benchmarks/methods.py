"""Time and memory of a training iteration by every multi-task optimisation method.

All methods train the network of the config, from the same weights, on the same batches, which stay
in memory, with the config's optimizer and learning rate. In one run they take turns, a few at a
time and each time with uniform weighting among them, so that a noisy machine slows all of them; the
table gives medians and ratios to uniform weighting, beside those of AMTL's Table C. With one thread
on a CPU, time is that of the processor, without what it gave to other processes. Peak memory is
that of the tensors alone: network, optimizer and iteration. A method that does not go with the
config, or whose losses or weights do not stay finite, is a row that says so.

Example:
    python benchmarks/methods.py configs/sta/ft_r18_scenes.py --repeats 20
    python benchmarks/methods.py configs/multihead/multihead_r18gn_4task_demo.py \
        --methods mgda torchjd.FairGrad --batch-size 8
"""

import argparse
import copy
import gc
import json
import statistics
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from _shared import (
    Batches,
    build_runner,
    device,
    quiet_clock,
    ratio,
    run_in_one_process,
    start_training,
    take_turns,
    tensor_memory,
)
from mmengine.config import Config, DictAction
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from mmgradsplit.apis.methods import METHODS, UNIFORM, known_methods, method_options, use_method
from mmgradsplit.apis.preparation import prepare
from mmgradsplit.engine import WeightingHook

# Seconds of an epoch on NYUv2, three tasks, DeepLabV3+ with a shared ASPP (AMTL, Table C).
TABLE_C = dict(
    uniform=30.98, rlw=31.55, dwa=30.77, gls=31.27, mgda=76.78, pcgrad=58.02, cagrad=58.99,
    gradnorm=36.19, imtl_g=35.33, imtl=57.85, dtp=31.46, amtl=30.65,
)  # fmt: skip
# Other forms of these methods.
FORM_OF = dict(
    mgda_ub='mgda', pcgrad_last_layer='pcgrad', pcgrad_features='pcgrad', cagrad_features='cagrad',
    amtl_arithmetic='amtl',
)  # fmt: skip
Rows = dict[str, dict[str, Any]]
ACCURACY = '{}/accuracy'  # for AMTL and DTP, whose time does not depend on its value
IN_MEMORY = 2  # iterations in which memory is measured; the optimizer has its state in the second


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', help='a multi-task config, joint or round-robin')
    parser.add_argument(
        '--methods',
        nargs='+',
        metavar='NAME',
        help="names as in tools/compare_methods.py, or 'all': TorchJD's others as well",
    )
    parser.add_argument('--repeats', type=int, default=10, help='timed iterations of each')
    parser.add_argument('--batch-size', type=int, help='of every data set')
    parser.add_argument('--threads', type=int, default=torch.get_num_threads())
    parser.add_argument(
        '--at-once', type=int, default=4, help='methods that are in memory beside uniform'
    )
    parser.add_argument('--out', help='JSON file for the numbers')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction)
    args = parser.parse_args()
    for name in ('repeats', 'at_once'):
        if getattr(args, name) < 1:
            parser.error(f'--{name.replace("_", "-")} must be at least 1')
    args.methods = every_method() if args.methods == ['all'] else args.methods or list(METHODS)
    for name in args.methods:
        try:
            method_options(name)
        except ValueError as error:
            parser.error(f'--methods: {error}')
    return args


def every_method() -> list[str]:
    """The methods, and TorchJD's that are none of them."""

    def kind(name: str) -> list[Any]:
        values = method_options(name).values()
        return [value['type'] if isinstance(value, dict) else value for value in values]

    known = [kind(name) for name in METHODS]
    return list(METHODS) + [
        name for name in known_methods() if name not in METHODS and kind(name) not in known
    ]


def with_method(cfg: Config, name: str, work_dir: str) -> Config:
    """The config with a method; ``work_dir`` is that of the runner."""
    cfg, tasks = copy.deepcopy(cfg), list(cfg.model.tasks)
    single = {ACCURACY.format(task): 50.0 for task in tasks}
    use_method(cfg, name, list(single), single)
    even = {task: 1 / len(tasks) for task in tasks}
    arguments: dict[str, dict[str, Any]] = {  # of those that have no default
        'torchjd.Constant': dict(weights=even),
        'torchjd.COSMOS': dict(lambda_=1.0, weights=even),
        'torchjd.FairGrad': dict(alpha=1.0),
        'torchjd.Krum': dict(n_byzantine=0),
        'torchjd.PBI': dict(theta=1.0, weights=even),
        'torchjd.TrimmedMean': dict(trim_number=1),
    }
    method = cfg.optim_wrapper.get('aggregator') or cfg.model.get('weighting') or {}
    method.update(arguments.get(name, {}))
    return prepare(cfg, work_dir)


class Training:
    """The training by one method, iteration by iteration; it stops at the first error.

    Args:
        cfg: The config.
        name: The method.
        work_dir: Of the runner.

    Attributes:
        error: What went wrong.
        losses: The loss of each task in each iteration.
    """

    def __init__(self, cfg: Config, name: str, work_dir: str) -> None:
        self.name = name
        self.error: str | None = None
        self.losses: list[dict[str, float]] = []
        self._attempt(lambda: self._build(with_method(cfg, name, work_dir), work_dir))

    def _build(self, cfg: Config, work_dir: str) -> None:
        self.runner = build_runner(cfg, work_dir)
        self.loop = self.runner.build_train_loop(self.runner._train_loop)
        self.runner._train_loop = self.loop
        weighting = self.runner.model.weighting
        if 'metrics' in weighting.needs:
            # There is no validation: tell it the accuracies of one.
            weighting.hooked = True
            found = {ACCURACY.format(t): 20.0 + i for i, t in enumerate(self.runner.model.tasks)}
            weighting.update(found, 0)
        else:
            self.runner.register_hook(WeightingHook())
        start_training(self.runner)

    def run(self, batches: Sequence[Batches]) -> None:
        """The next iteration, with mmengine's hooks, on the next of these batches."""
        self._attempt(lambda: self._run(batches[len(self.losses) % len(batches)]))

    def _run(self, batch: Batches) -> None:
        self.loop.run_iter(len(self.losses), batch)
        tasks, scalar = self.runner.model.tasks, self.runner.message_hub.get_scalar
        self.losses.append({task: scalar(f'train/{task}/loss').current() for task in tasks})

    def check_weights(self) -> None:
        """Note it where a weight is not finite; that losses are, the loop checks."""
        if self.error is None:
            bad = [n for n, p in self.runner.model.named_parameters() if not p.isfinite().all()]
            self.error = f'not finite after {len(self.losses)} iterations: {bad}' if bad else None

    def _attempt(self, work: Callable[[], None]) -> None:
        if self.error is None:
            try:
                work()
            except Exception as error:  # of whatever kind, it belongs into the table
                self.error = f'{type(error).__name__}: {error}'


def sound(training: Training) -> Training:
    """The training by uniform weighting, which has to go: all others are compared with it."""
    if training.error:
        raise RuntimeError(f'the config does not train by {training.name}: {training.error}')
    return training


def measure(cfg: Config, args: argparse.Namespace, work_dir: str) -> Rows:
    """Memory and times of each method, uniform weighting first.

    Args:
        cfg: The config.
        args: The command line.
        work_dir: Of the runners.

    Returns:
        By method ``seconds``, ``to_uniform``, ``mib``, ``mib_to_uniform``, ``mib_more``, the
        ratio in ``table_c``, and the losses of the first and the last iteration; or its ``error``.
    """
    probe = sound(Training(cfg, UNIFORM, work_dir))
    batches = list(islice(probe.loop.dataloader, args.repeats))
    rows: Rows = {}
    others = [name for name in args.methods if name != UNIFORM]
    for start in range(0, len(others), args.at_once) or [0]:
        names = [UNIFORM, *others[start : start + args.at_once]]
        for name, row in measure_together(cfg, names, batches, args.repeats, work_dir).items():
            rows.setdefault(name, row)
        if args.out:
            save(args, rows)  # what there is, should the rest be interrupted
    return rows


def measure_together(
    cfg: Config, names: Sequence[str], batches: Sequence[Batches], repeats: int, work_dir: str
) -> Rows:
    """Rows of methods that take turns, uniform weighting among them."""
    trainings: dict[str, Training] = {}

    def begin(name: str) -> None:
        trainings[name] = Training(cfg, name, work_dir)
        for _ in range(IN_MEMORY):
            trainings[name].run(batches)

    mib = {name: tensor_memory(partial(begin, name)) for name in names}
    steps = {n: partial(t.run, batches) for n, t in trainings.items() if not t.error}
    times = take_turns(steps, repeats, quiet_clock())
    sound(trainings[UNIFORM])
    rows: Rows = {}
    for name, training in trainings.items():
        training.check_weights()
        rows[name] = dict(error=training.error)
        if training.error is None:
            rows[name] = dict(
                seconds=statistics.median(times[name]),
                to_uniform=ratio(times[name], times[UNIFORM]),
                mib=mib[name],
                mib_to_uniform=mib[name] / mib[UNIFORM],
                mib_more=mib[name] - mib[UNIFORM],
                first_losses=training.losses[0],
                last_losses=training.losses[-1],
                iterations=len(training.losses),
            )
        published = FORM_OF.get(name, name)
        if published in TABLE_C:
            rows[name]['table_c'] = TABLE_C[published] / TABLE_C[UNIFORM]
    return rows


def save(args: argparse.Namespace, rows: Rows) -> None:
    """Write settings and numbers as JSON."""
    keys = ('config', 'batch_size', 'threads', 'repeats')
    settings = {key: getattr(args, key) for key in keys}
    settings.update(device=device(), clock=quiet_clock().__name__)
    Path(args.out).write_text(json.dumps(dict(settings, rows=rows), indent=1))


def report(args: argparse.Namespace, rows: Rows) -> None:
    """Print the table, and what went wrong."""
    title = f'{Path(args.config).stem}: {device()}, {args.threads} threads, {args.repeats} repeats'
    table = Table(title=title, box=SIMPLE_HEAD, pad_edge=False)
    memory = ('peak\nMiB', 'to\nuniform', 'MiB\nmore')
    for column in ('', 'seconds', 'to\nuniform', 'Table C', *memory):
        table.add_column(column, justify='right' if column else 'left', no_wrap=True)
    for name, row in rows.items():
        table_c = f'{row["table_c"]:.2f}' if 'table_c' in row else ''
        if 'error' in row:
            table.add_row(name, 'error', '', table_c)
            continue
        cells = [f'{row["seconds"]:.3g}', f'{row["to_uniform"]:.3f}', table_c, f'{row["mib"]:.1f}']
        table.add_row(name, *cells, f'{row["mib_to_uniform"]:.3f}', f'{row["mib_more"]:.1f}')
    console = Console()
    console.print(table)
    for name, row in rows.items():
        if 'error' in row:
            console.print(f'{name}: {row["error"]}', markup=False, highlight=False)
    if args.out:
        console.print(f'written: {args.out}')


def main() -> None:
    """Measure, and print the table."""
    args = parse_args()
    torch.set_num_threads(args.threads)
    cfg = prepare(args.config, cfg_options=args.cfg_options)
    run_in_one_process(cfg, args.batch_size)
    gc.freeze()  # each data set collects garbage, which takes long with all toolboxes imported
    with tempfile.TemporaryDirectory() as work_dir:
        rows = measure(cfg, args, work_dir)
    report(args, rows)


if __name__ == '__main__':
    main()
