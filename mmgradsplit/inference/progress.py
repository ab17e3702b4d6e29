"""How far predicting is."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class PredictionProgress:
    """A bar with the time left on standard error, where it is wanted.

    Args:
        total: Number of pictures; 0 where it is not known.
        shown: Whether it is wanted.
    """

    def __init__(self, total: int, shown: bool) -> None:
        columns = (
            TextColumn('predict'),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
        )
        self.bar = Progress(*columns, console=Console(stderr=True), disable=not shown)
        self.task = self.bar.add_task('predict', total=total or None)

    def __enter__(self) -> PredictionProgress:
        self.bar.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.bar.stop()

    def advance(self) -> None:
        """Count a picture."""
        self.bar.advance(self.task)
