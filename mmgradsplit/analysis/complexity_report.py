"""Tables of #Param and #FLOPs: in the terminal, in Markdown and as CSV."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from mmgradsplit.utils.tables import TextTable

from .complexity import BACKBONE, TASKS, Complexity, Size, measure_complexity

PARAMETERS, FLOPS = '#Param (M)', '#FLOPs (G)'
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
    check_suffixes(out)
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
    show_table(table, out, console)
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


def check_suffixes(files: Sequence[str | Path]) -> None:
    """Refuse files of another suffix than ``.md`` and ``.csv``.

    Raises:
        ValueError: If there is one.
    """
    for file in files:
        if Path(file).suffix not in ('.md', '.csv'):
            raise ValueError(f"--out {file}: tables are written as '.md' or '.csv'")


def show_table(table: TextTable, out: Sequence[str | Path], console: Console | None) -> None:
    """Print a table, and write it to files, in Markdown or as CSV."""
    table.show(console or Console())
    for file in map(Path, out):
        file.parent.mkdir(parents=True, exist_ok=True)
        markdown = file.suffix == '.md'
        file.write_text(f'{table.markdown()}\n' if markdown else table.comma_separated())
