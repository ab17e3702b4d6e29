"""Tables of numbers, in a terminal and in Markdown. May import rich."""

import io
from collections.abc import Sequence
from statistics import mean, stdev

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table


def print_table(table: Table, console: Console) -> None:
    """Print a table with whole numbers, even where the terminal is too narrow for it."""
    needed = Measurement.get(console, console.options.update(max_width=1_000), table).minimum
    table.width = needed if needed > console.width else None
    console.print(table, crop=False, soft_wrap=needed > console.width)


def markdown(table: Table) -> str:
    """A table whose box is ``rich.box.MARKDOWN``, as text."""
    text = io.StringIO()
    Console(file=text, width=10_000, color_system=None).print(table)
    return '\n'.join(line.strip() for line in text.getvalue().splitlines() if line.strip())


def mean_and_spread(values: Sequence[float], digits: int = 2, sign: str = '') -> str:
    """The mean of values as text, of several with their standard deviation (n - 1).

    Args:
        values: The values; without any, the text is ``'-'``.
        digits: Decimals.
        sign: ``'+'`` to write that of a positive mean, too.
    """
    if not values:
        return '-'
    middle = round(mean(values), digits) or 0.0  # not -0
    text = f'{middle:{sign}.{digits}f}'
    return f'{text} ± {stdev(values):.{digits}f}' if len(values) > 1 else text
