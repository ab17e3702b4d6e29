"""Tables of #Param and #FLOPs: in the terminal, in Markdown and as CSV."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from mmgradsplit.utils.tables import TextTable

from .complexity import BACKBONE, TASKS, Complexity, Size, measure_complexity
from .complexity_published import PublishedRow, compare_published

PARAMETERS, FLOPS = '#Param (M)', '#FLOPs (G)'
PUBLISHED_COLUMNS = (
    'table', 'method', 'backbone', 'tasks',
    PARAMETERS, 'paper', 'difference', FLOPS, 'paper', 'difference',
)  # fmt: skip
WORDS = {'config', 'module', 'input', 'table', 'method', 'backbone', 'tasks'}


def report_complexity(
    configs: Sequence[str | Path],
    *,
    size: Size | None = None,
    depth: int = 0,
    out: Sequence[str | Path] = (),
    cfg_options: Mapping[str, Any] | None = None,
    console: Console | None = None,
) -> list[Complexity]:
    """Show what the models of configs cost, by module, and their sum.

    Args:
        configs: Config files.
        size: (height, width) of the images of all tasks; by default each task's own.
        depth: Levels of modules to show below the backbone and each task.
        out: Files to write the table to, ``.md`` or ``.csv``.
        cfg_options: Values for keys of the configs.
        console: For the table.

    Raises:
        FileNotFoundError: If a config file is not there.
        ValueError: If a config does not say the size of its images, or a file has another suffix.
    """
    _check_suffixes(out)
    costs = [measure_complexity(config, size, cfg_options) for config in configs]
    rows = [row for cost in costs for row in module_rows(cost, depth)]
    if len(costs) > 1:
        rows.append(_figures('sum', '', costs, '', ''))
    uncounted = sorted({operator for cost in costs for operator in cost.uncounted})
    table = TextTable(
        ('config', 'module', PARAMETERS, FLOPS, 'input'),
        rows,
        WORDS,
        title='Parameters and multiply-accumulates of one image',
        note=f'Not counted as multiply-accumulates: {", ".join(uncounted)}.',
    )
    _show(table, out, console)
    return costs


def module_rows(cost: Complexity, depth: int) -> list[tuple[str, ...]]:
    """The rows of one model: the whole, the backbone, the tasks, and ``depth`` levels below."""
    rows = [_figures(cost.name, 'all', [cost], '', _input(cost, ''))]
    for name in cost.macs:
        parts = name.split('.')
        level = len(parts) - (1 if parts[0] != TASKS else 2)
        if name and 0 <= level <= depth and (cost.macs[name] or cost.parameters[name]):
            rows.append(_figures('', name, [cost], name, _input(cost, name)))
    return rows


def report_published(
    file: str | Path, *, out: Sequence[str | Path] = (), console: Console | None = None
) -> list[PublishedRow]:
    """Show the configs' #Param and #FLOPs beside a paper's, row by row.

    Args:
        file: JSON file of published figures, see
            :mod:`~mmgradsplit.analysis.complexity_published`.
        out: Files to write the table to, ``.md`` or ``.csv``.
        console: For the table.

    Raises:
        FileNotFoundError: If the file, or a config, is not there.
        ValueError: If a row does not fit, or a file has another suffix than ``.md`` and ``.csv``.
    """
    _check_suffixes(out)
    console = console or Console()
    with console.status('') as status:
        rows = compare_published(file, lambda name: status.update(f'measuring {name}'))
    by_part = any(row.parts for row in rows)
    table = TextTable(
        _part_columns(rows[0]) if by_part else PUBLISHED_COLUMNS,
        [_parts_beside(row) if by_part else _beside(row) for row in rows],
        WORDS,
        title='#FLOPs by part beside the paper'
        if by_part
        else '#Param and #FLOPs beside the paper',
        note='#FLOPs are multiply-accumulates of one image of each task.',
    )
    _show(table, out, console)
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


def _figures(
    config: str, module: str, costs: Sequence[Complexity], name: str, size: str
) -> tuple[str, ...]:
    parameters = sum(cost.parameters[name] for cost in costs)
    macs = sum(cost.macs[name] for cost in costs)
    return config, module, f'{parameters / 1e6:.3f}', f'{macs / 1e9:.3f}', size


def _input(cost: Complexity, module: str) -> str:
    """The images that a task gets, or of which the backbone's passes are."""
    sizes = {f'{TASKS}.{task}' if task else '': [size] for task, size in cost.sizes.items()}
    sizes[BACKBONE] = [cost.sizes[group[0]] for group in cost.passes if group[0]]
    return ', '.join(f'{height}x{width}' for height, width in sizes.get(module, []))


def _check_suffixes(files: Sequence[str | Path]) -> None:
    for file in files:
        if Path(file).suffix not in ('.md', '.csv'):
            raise ValueError(f"--out {file}: tables are written as '.md' or '.csv'")


def _show(table: TextTable, out: Sequence[str | Path], console: Console | None) -> None:
    table.show(console or Console())
    for file in map(Path, out):
        file.parent.mkdir(parents=True, exist_ok=True)
        markdown = file.suffix == '.md'
        file.write_text(f'{table.markdown()}\n' if markdown else table.comma_separated())
