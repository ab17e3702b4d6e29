"""Printing tables in a terminal. May import rich."""

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table


def print_table(table: Table, console: Console) -> None:
    """Print a table with whole numbers, even where the terminal is too narrow for it."""
    needed = Measurement.get(console, console.options.update(max_width=1_000), table).minimum
    table.width = needed if needed > console.width else None
    console.print(table, crop=False, soft_wrap=needed > console.width)
