"""A paper's figures of #Param and #FLOPs beside those of the configs.

The figures are data: a JSON file whose ``rows`` name a table, a method, a backbone, the networks of
the row, which add up, and what the paper says: ``parameters`` in millions and, where it says so,
``flops`` in G. The networks are those of ``configs``; where ``tasks`` lists tasks of theirs, such
as ``[["pose"], ["parsing"]]``, each config stands for a network of each entry. In a file whose
``parts`` give the modules of each part of a network, by patterns of their names (``''`` is the
whole), ``flops`` are of each part.

Example:
    python benchmarks/published_complexity.py --out table.md
    python benchmarks/published_complexity.py configs/amtl_tables/complexity.json
"""

import argparse
import fnmatch
import functools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mmengine
from mmengine.config import Config
from rich.console import Console

from mmgradsplit.analysis.complexity import Complexity, measure_complexity
from mmgradsplit.analysis.complexity_report import (
    FLOPS,
    PARAMETERS,
    WORDS,
    check_suffixes,
    show_table,
)
from mmgradsplit.utils.tables import TextTable

KEYS = {'table', 'method', 'backbone', 'configs'}
COLUMNS = (
    'table', 'method', 'backbone', 'tasks',
    PARAMETERS, 'paper', 'difference', FLOPS, 'paper', 'difference',
)  # fmt: skip
Parts = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class PublishedRow:
    """A row of a published table, and what its configs cost.

    Attributes:
        table: Number of the table.
        method: As the paper calls it.
        backbone: As the paper calls it.
        tasks: Tasks of its networks.
        parameters: In millions, of all its networks.
        published_parameters: In millions, as the paper rounds them; None where it says nothing.
        flops: Multiply-accumulates of all its tasks, in G.
        published_flops: In G, as the paper rounds them; None where it says nothing of the whole.
        parts: Multiply-accumulates by part of the network, in G, where the paper gives parts.
        published_parts: The same as the paper rounds them.
    """

    table: str
    method: str
    backbone: str
    tasks: tuple[str, ...]
    parameters: float
    published_parameters: float | None
    flops: float
    published_flops: float | None
    parts: dict[str, float]
    published_parts: dict[str, float]


def compare_published(
    file: str | Path, progress: Callable[[str], None] = lambda _: None
) -> list[PublishedRow]:
    """Measure every row of a file of published figures.

    Args:
        file: JSON file; the paths of its configs are relative to its folder.
        progress: Called with the name of each config measured. Networks that are alike, such
            as those of GradSplit and the multi-head baseline, are measured once.

    Raises:
        FileNotFoundError: If the file, or a config, is not there.
        ValueError: If a row lacks a key or a part, or a part is none of the row's networks.
    """
    if not Path(file).is_file():
        raise FileNotFoundError(f"no file of published figures '{file}'")
    measured: dict[str, Complexity] = {}

    @functools.cache
    def cost(name: str, tasks: tuple[str, ...]) -> Complexity:
        path = Path(file).parent / name
        if not path.is_file():
            raise FileNotFoundError(f"{file}: no config file '{name}'")
        cfg = Config.fromfile(path)
        if tasks:
            cfg.tasks = list(tasks)
        network = json.dumps([cfg.model, cfg.get('tasks'), cfg.val_dataloader], default=str)
        if network not in measured:
            progress(path.stem)
            measured[network] = measure_complexity(cfg)
        return measured[network]

    content = mmengine.load(file)
    rows, parts = content.get('rows', []), content.get('parts', {})
    for number, row in enumerate(rows):
        if missing := (KEYS | {'flops' if parts else 'parameters'}) - set(row):
            raise ValueError(f'{file}: rows[{number}] lacks {sorted(missing)}')
        if parts and set(row['flops']) != set(parts):
            raise ValueError(
                f'{file}: rows[{number}].flops must be of the parts {list(parts)}, got '
                f'{row["flops"]}'
            )
    return [
        _row(
            file,
            row,
            parts,
            [cost(name, tuple(of)) for name in row['configs'] for of in row.get('tasks', [()])],
        )
        for row in rows
    ]


def _row(
    file: str | Path, row: Mapping[str, Any], parts: Parts, costs: Sequence[Complexity]
) -> PublishedRow:
    return PublishedRow(
        table=row['table'],
        method=row['method'],
        backbone=row['backbone'],
        tasks=tuple(task for cost in costs for group in cost.passes for task in group),
        parameters=sum(cost.parameters[''] for cost in costs) / 1e6,
        published_parameters=row.get('parameters'),
        flops=sum(cost.macs[''] for cost in costs) / 1e9,
        published_flops=None if parts else row.get('flops'),
        parts={part: _part(file, part, parts[part], costs) for part in parts},
        published_parts=dict(row['flops']) if parts else {},
    )


def _part(
    file: str | Path, part: str, patterns: Sequence[str], costs: Sequence[Complexity]
) -> float:
    """Multiply-accumulates, in G, of the modules that match one of the patterns."""
    total = 0
    for cost in costs:
        found = {name for pattern in patterns for name in fnmatch.filter(cost.macs, pattern)}
        if not found:
            raise ValueError(f'{file}: parts.{part}: no module of {cost.name} matches {patterns}')
        total += sum(cost.macs[name] for name in found)
    return total / 1e9


def report_published(
    file: str | Path, *, out: Sequence[str | Path] = (), console: Console | None = None
) -> list[PublishedRow]:
    """Show the configs' #Param and #FLOPs beside a paper's, row by row.

    Args:
        file: JSON file of published figures.
        out: Files to write the table to, ``.md`` or ``.csv``.
        console: For the table.

    Raises:
        FileNotFoundError: If the file, or a config, is not there.
        ValueError: If a row does not fit, or a file has another suffix than ``.md`` and ``.csv``.
    """
    check_suffixes(out)
    console = console or Console()
    with console.status('') as status:
        rows = compare_published(file, lambda name: status.update(f'measuring {name}'))
    by_part = any(row.parts for row in rows)
    table = TextTable(
        _part_columns(rows[0]) if by_part else COLUMNS,
        [_parts_beside(row) if by_part else _beside(row) for row in rows],
        WORDS,
        title='#FLOPs by part beside the paper'
        if by_part
        else '#Param and #FLOPs beside the paper',
        note='#FLOPs are multiply-accumulates of one image of each task.',
    )
    show_table(table, out, console)
    return rows


def _part_columns(row: PublishedRow) -> tuple[str, ...]:
    figures = [text for part in row.parts for text in (f'{part} (G)', 'paper')]
    return ('table', 'method', 'backbone', *figures, 'largest difference')


def _parts_beside(row: PublishedRow) -> tuple[str, ...]:
    published = row.published_parts
    figures = [
        text for part, macs in row.parts.items() for text in (f'{macs:.3f}', f'{published[part]:g}')
    ]
    largest = max(abs(macs / published[part] - 1) for part, macs in row.parts.items())
    return (row.table, row.method, row.backbone, *figures, f'{largest:.2%}')


def _beside(row: PublishedRow) -> tuple[str, ...]:
    parameters, flops = row.published_parameters, row.published_flops
    return (
        row.table,
        row.method,
        row.backbone,
        ', '.join(row.tasks),
        f'{row.parameters:.1f}',
        '' if parameters is None else f'{parameters:g}',
        '' if parameters is None else f'{row.parameters - parameters:+.1f}',
        f'{row.flops:.1f}',
        '' if flops is None else f'{flops:g}',
        '' if flops is None else f'{row.flops / flops - 1:+.1%}',
    )


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        'file',
        nargs='?',
        default='configs/gradsplit_tables/complexity.json',
        help='JSON file of published figures (default: those of GradSplit)',
    )
    parser.add_argument(
        '--out', nargs='+', default=[], metavar='FILE', help='also write the table, as .md or .csv'
    )
    return parser.parse_args()


def main() -> None:
    """Measure, and print the table."""
    args = parse_args()
    report_published(args.file, out=args.out)


if __name__ == '__main__':
    main()
