"""Tables of numbers, in a terminal, in Markdown and as CSV."""

import csv
import io
import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from statistics import mean, stdev

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

# From here on a number is written with an exponent.
HUGE = 1e12


@dataclass(frozen=True)
class TextTable:
    """A table of texts.

    Attributes:
        columns: Headings.
        rows: A text for each column.
        words: Headings of the columns that hold words, which stand at the left and may be folded;
            all others hold numbers.
        title: What it shows, for the terminal.
        note: What to know about it, for the terminal.
        marked: Numbers of the rows that stand out in the terminal.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: Collection[str] = ()
    title: str = ''
    note: str = ''
    marked: Collection[int] = ()

    def for_terminal(self) -> Table:
        """The table for rich; long headings are broken, numbers never."""
        title, note = self.title or None, self.note or None
        table = Table(title=title, caption=note, caption_justify='left')
        for name, *texts in zip(self.columns, *self.rows, strict=True):
            header = name.replace('/', '\n').replace(' (', '\n(')
            longest = max(map(len, [*header.split('\n'), *texts]))
            if name in self.words:
                table.add_column(Text(header), overflow='fold', min_width=min(longest, 16))
            else:
                table.add_column(Text(header), justify='right', no_wrap=True, min_width=longest)
        for number, row in enumerate(self.rows):
            style = 'yellow' if number in self.marked else ''
            table.add_row(*map(Text, row), style=style)
        return table

    def markdown(self) -> str:
        """The table in Markdown."""
        table = Table(box=box.MARKDOWN)
        for name in self.columns:
            table.add_column(Text(name), justify='left' if name in self.words else 'right')
        for row in self.rows:
            table.add_row(*(Text(cell.replace('|', '\\|')) for cell in row))
        text = io.StringIO()
        Console(file=text, width=10_000, color_system=None).print(table)
        return '\n'.join(line.strip() for line in text.getvalue().splitlines() if line.strip())

    def comma_separated(self) -> str:
        """The table as CSV."""
        text = io.StringIO()
        csv.writer(text, lineterminator='\n').writerows([self.columns, *self.rows])
        return text.getvalue()

    def show(self, console: Console) -> None:
        """Print it with whole numbers, even where the terminal is too narrow for it."""
        table = self.for_terminal()
        needed = Measurement.get(console, console.options.update(max_width=1_000), table).minimum
        table.width = needed if needed > console.width else None
        console.print(table, crop=False, soft_wrap=needed > console.width)


def mean_and_spread(values: Sequence[float], digits: int = 2, sign: str = '') -> str:
    """The mean of values as text, of several with their standard deviation (n - 1).

    Args:
        values: The values; without any, the text is ``'-'``.
        digits: Decimals.
        sign: ``'+'`` to write that of a positive mean, too.
    """
    if not values:
        return '-'
    middle = round(mean_of(values), digits) or 0.0  # not -0
    text = f'{middle:{sign}.{_form(middle, digits)}}'
    if len(values) == 1:
        return text
    spread = spread_of(values)
    return f'{text} ± {spread:.{_form(spread, digits)}}'


def _form(value: float, digits: int) -> str:
    """How a number is written: one with a hundred digits would leave no room for others."""
    return f'{digits}e' if abs(value) >= HUGE else f'{digits}f'


def mean_of(values: Sequence[float]) -> float:
    """The mean of values; NaN where one is not finite, or it is out of range."""
    return _finite(mean, values)


def spread_of(values: Sequence[float]) -> float:
    """Their standard deviation with n - 1; NaN where one is not finite, or it is out of range."""
    return _finite(stdev, values)


def _finite(statistic: Callable[[Sequence[float]], float], values: Sequence[float]) -> float:
    try:
        return statistic(values) if all(map(math.isfinite, values)) else math.nan
    except OverflowError:
        return math.nan
