"""The table of a study: a row a network, or method, with mean and spread over its seeds."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from mmgradsplit.utils.tables import TextTable, mean_and_spread

# What sums up the metrics of all tasks.
ACC, DELTA, RAW = SUMS = ('acc_mtl', 'delta_m', 'delta_raw')
SECONDS = 'time (s)'
DECIMALS = {ACC: 4, SECONDS: 3}
FINISHED = 'finished'


class Row(Protocol):
    """What is known of one network over its seeds."""

    name: str

    @property
    def number(self) -> int:
        """Number of the seeds that count."""

    @property
    def state(self) -> str:
        """What is wrong with which seed, in words; nothing, or :data:`FINISHED`, if all is well."""

    def values(self, column: str) -> list[float]:
        """The values of a column, one a seed that has it."""


def spread_table(kind: str, rows: Sequence[Row], headings: Mapping[str, str]) -> TextTable:
    """The table of several networks.

    Args:
        kind: What a row is.
        rows: The rows.
        headings: Heading of each column, by the column's name.
    """
    texts = []
    for row in rows:
        numbers = (
            mean_and_spread(row.values(name), DECIMALS.get(name, 2), '+' if name == DELTA else '')
            for name in headings
        )
        texts.append([row.name, *numbers, str(row.number), row.state])
    return TextTable(
        columns=[kind, *headings.values(), 'seeds', 'state'],
        rows=texts,
        words=(kind, 'state'),
        marked=[number for number, row in enumerate(rows) if row.state not in ('', FINISHED)],
    )
