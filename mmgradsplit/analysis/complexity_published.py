"""A paper's figures of #Param and #FLOPs beside those of the configs.

The figures are data: a JSON file whose ``rows`` name a table, a method, a backbone, the networks of
the row, which add up, and what the paper says: ``parameters`` in millions and, where it says so,
``flops`` in G. The networks are those of ``configs``; where ``tasks`` lists tasks of theirs, such
as ``[["pose"], ["parsing"]]``, each config stands for a network of each entry. In a file whose
``parts`` give the modules of each part of a network, by patterns of their names (``''`` is the
whole), ``flops`` are of each part.
"""

import fnmatch
import functools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mmengine
from mmengine.config import Config

from .complexity import Complexity, measure_complexity

KEYS = {'table', 'method', 'backbone', 'configs'}
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
