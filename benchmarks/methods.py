"""Time and memory of a training iteration by every multi-task optimisation method.

All methods train the network of the config, from the same weights, on the same batches, which stay
in memory, with the config's optimizer and learning rate. In one run they take turns, a few at a
time and each time with uniform weighting among them, so that a noisy machine slows all of them; the
table gives medians and ratios to uniform weighting, beside those of AMTL's Table C. With one thread
on a CPU, time is that of the processor, without what it gave to other processes. Peak memory is
that of the tensors alone: network, optimizer and iteration. A method that does not go with the
config, or whose losses or weights do not stay finite, is a row that says so.

With ``--table FILE.md`` it does not measure, but writes a table of the methods, a column for each
config: whether its network trains by the method for so many iterations, or what was said instead.

Example:
    python benchmarks/methods.py configs/sta/ft_r18_scenes.py --repeats 20
    python benchmarks/methods.py configs/multihead/r18gn_4task_demo_long.py \
        --methods mgda fairgrad --batch-size 8
    python benchmarks/methods.py configs/sta/ft_r18_scenes.py \
        configs/multihead/r18gn_4task_demo_long.py --repeats 20 --table methods.md
"""

import argparse
import gc
import json
import statistics
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice, takewhile
from pathlib import Path
from typing import Any

import torch
from _shared import (
    Batches,
    add_options,
    build_runner,
    device,
    quiet_clock,
    ratio,
    run_in_one_process,
    start_training,
    take_turns,
    tensor_memory,
)
from mmengine.config import Config
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import track
from rich.table import Table

from mmgradsplit.apis.methods import FOLDER, load_method, method_names, needs_validation
from mmgradsplit.apis.preparation import prepare
from mmgradsplit.utils.tables import TextTable

UNIFORM = 'uniform'
# Seconds of an epoch on NYUv2, three tasks, DeepLabV3+ with a shared ASPP (AMTL, Table C).
TABLE_C = dict(
    uniform=30.98, rlw=31.55, dwa=30.77, gls=31.27, mgda=76.78, pcgrad=58.02, cagrad=58.99,
    gradnorm=36.19, imtl_g=35.33, imtl=57.85, dtp=31.46, amtl=30.65,
)  # fmt: skip
# Other forms of these methods.
FORM_OF = dict(
    mgda_ub='mgda', pcgrad_last_layer='pcgrad', pcgrad_features='pcgrad', cagrad_features='cagrad',
    amtl_arithmetic='amtl', mgda_normalised='mgda', pcgrad_mean='pcgrad', gradnorm_sgd='gradnorm',
    imtl_g_features='imtl_g',
)  # fmt: skip
Rows = dict[str, dict[str, Any]]
ACCURACY = '{}/accuracy'
IN_MEMORY = 2  # iterations in which memory is measured; the optimizer has its state in the second


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        'configs', nargs='+', help='a multi-task config, joint or round-robin; several with --table'
    )
    parser.add_argument(
        '--methods',
        nargs='+',
        default=method_names(),
        metavar='NAME',
        help='out of configs/_base_/methods, or method files (default: all that are there)',
    )
    add_options(parser, 'timed iterations of each')
    parser.add_argument(
        '--at-once', type=int, default=4, help='methods that are in memory beside uniform'
    )
    parser.add_argument('--table', metavar='FILE.md', help='write which methods train, instead')
    args = parser.parse_args()
    for name in ('repeats', 'at_once'):
        if getattr(args, name) < 1:
            parser.error(f'--{name.replace("_", "-")} must be at least 1')
    if len(args.configs) > 1 and not args.table:
        parser.error('several configs go with --table')
    for name in args.methods:
        try:
            load_method(name)
        except ValueError as error:
            parser.error(f'--methods: {error}')
    return args


def load(config: str, args: argparse.Namespace) -> Config:
    """A config, for single iterations in one process."""
    cfg = prepare(config, cfg_options=args.cfg_options)
    run_in_one_process(cfg, args.batch_size)
    # For AMTL and DTP, whose time does not depend on the values; so no metric has to be measured.
    cfg.val_evaluator = None
    cfg.accuracies = {ACCURACY.format(task): 50.0 for task in cfg.model.tasks}
    return cfg


class Training:
    """The training by one method, iteration by iteration; it stops at the first error.

    Args:
        cfg: The config.
        name: The method.
        work_dir: Working directory of the runner.

    Attributes:
        error: What went wrong.
        losses: The loss of each task in each iteration.
    """

    def __init__(self, cfg: Config, name: str, work_dir: str) -> None:
        self.name = name
        self.error: str | None = None
        self.losses: list[dict[str, float]] = []
        self._attempt(lambda: self._build(prepare(cfg, work_dir, method=name), work_dir))

    def _build(self, cfg: Config, work_dir: str) -> None:
        metrics = {name: 20.0 + i for i, name in enumerate(cfg.accuracies)}
        self.runner = build_runner(cfg, work_dir, metrics if needs_validation(cfg) else None)
        self.loop = start_training(self.runner)
        if 'metrics' in self.loop.method.needs:
            self.loop.validate()

    def run(self, batches: Sequence[Batches]) -> None:
        """The next iteration, with mmengine's hooks, on the next of these batches."""
        self._attempt(lambda: self._run(batches[len(self.losses) % len(batches)]))

    def _run(self, batch: Batches) -> None:
        self.loop.run_iter(len(self.losses), batch)
        scalar = self.runner.message_hub.get_scalar
        losses = {task: scalar(f'train/{task}/loss').current() for task in self.loop.tasks}
        self.losses.append(losses)

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
        work_dir: Working directory of the runners.

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
    keys = ('configs', 'batch_size', 'threads', 'repeats')
    settings = {key: getattr(args, key) for key in keys}
    settings.update(device=device(), clock=quiet_clock().__name__)
    Path(args.out).write_text(json.dumps(dict(settings, rows=rows), indent=1))


def report(args: argparse.Namespace, rows: Rows) -> None:
    """Print the table, and what went wrong."""
    (name,) = (Path(config).stem for config in args.configs)
    title = f'{name}: {device()}, {args.threads} threads, {args.repeats} repeats'
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


def write_table(args: argparse.Namespace, work_dir: str) -> None:
    """Write a Markdown table of the methods: what they are, and whether each config trains by them.

    Args:
        args: The command line.
        work_dir: Working directory of the runners.
    """
    outcomes: dict[str, list[str]] = {name: [] for name in args.methods}
    for config in args.configs:
        cfg = load(config, args)
        probe = sound(Training(cfg, UNIFORM, work_dir))
        batches = list(islice(probe.loop.dataloader, args.repeats))
        for name, cells in track(outcomes.items(), Path(config).stem):
            training = Training(cfg, name, work_dir)
            for _ in batches:
                training.run(batches)
            training.check_weights()
            cells.append(outcome(training))
    columns = ['method', 'what it is', *(Path(config).stem for config in args.configs)]
    rows = [[f'`{Path(n).stem}`', description(n), *cells] for n, cells in outcomes.items()]
    table = TextTable(columns, rows, words=columns)
    Path(args.table).write_text(table.markdown() + '\n')
    print(f'written: {args.table}')


def outcome(training: Training) -> str:
    """Whether a training went well, in words."""
    if training.error is None:
        return 'trains'
    said = ' '.join(training.error.removeprefix('ValueError: ').split()).replace('|', '\\|')
    done = len(training.losses)
    return f'fails after {done} iterations: {said}' if done else said


def description(name: str) -> str:
    """What a method is: the comment at the head of its file."""
    path = Path(name) if name.endswith('.py') else FOLDER / f'{name}.py'
    lines = takewhile(lambda line: line.startswith('#'), path.read_text().splitlines())
    return ' '.join(line.strip('# ') for line in lines)


def main() -> None:
    """Measure, and print the table; or write which methods train."""
    args = parse_args()
    torch.set_num_threads(args.threads)
    gc.freeze()  # each data set collects garbage, which takes long with all toolboxes imported
    with tempfile.TemporaryDirectory() as work_dir:
        if args.table:
            write_table(args, work_dir)
        else:
            report(args, measure(load(args.configs[0], args), args, work_dir))


if __name__ == '__main__':
    main()
