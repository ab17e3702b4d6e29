"""Which trainings of a comparison count: of several learning rates, and of the seeds."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean

from mmgradsplit.functional import acc_mtl, by_task

Metrics = Mapping[str, float]
BySeed = Mapping[int, Metrics]

LAST, BEST = SELECTIONS = ('last', 'best')


@dataclass(frozen=True)
class Choice:
    """How a comparison chooses (AMTL, supplement A.2).

    Attributes:
        select: ``'last'``: the metrics at the end of each training, or ``'best'``: those of the
            epoch with the best ``acc_mtl``.
        lrs: Learning rates, of which each network counts with the one whose mean ``acc_mtl`` is the
            best; none for the config's own.
        trim: How many seeds with the best, and how many with the worst ``acc_mtl`` are left out.

    Raises:
        ValueError: If a value is none of these.
    """

    select: str = LAST
    lrs: tuple[float, ...] = ()
    trim: int = 0

    def __post_init__(self) -> None:
        if self.select not in SELECTIONS:
            raise ValueError(f'--select must be one of {SELECTIONS}, got {self.select!r}')
        if self.trim < 0:
            raise ValueError(f'--trim must not be negative, got {self.trim}')
        if len({*self.lrs}) < len(self.lrs) or any(lr <= 0 for lr in self.lrs):
            raise ValueError(f'--lrs must be different numbers above 0, got {list(self.lrs)}')

    def variants(self, name: str) -> dict[str, float | None]:
        """The trainings of a network: their names with their learning rates.

        Args:
            name: Name of the network: a task, or a method.
        """
        return {f'{name}_lr{lr:g}': lr for lr in self.lrs} or {name: None}

    def kept(self, found: BySeed, lower: Collection[str]) -> list[int]:
        """The seeds that count, in order.

        Args:
            found: What ``acc_mtl`` is made of, of each seed.
            lower: Of which metrics a lower value is better.
        """
        ordered = sorted(found, key=lambda seed: (_score(found[seed], lower), seed))
        return sorted(ordered[self.trim : len(ordered) - self.trim])

    def best(
        self,
        name: str,
        measured: Mapping[str, BySeed],
        metrics: Sequence[str],
        lower: Collection[str],
    ) -> str:
        """The name of the training of a network that counts; the first, where none is finite.

        Args:
            name: Name of the network.
            measured: Metrics by training and seed; empty where a training has none.
            metrics: What ``acc_mtl`` is made of.
            lower: Of which metrics a lower value is better.
        """

        def score(variant: str) -> float:
            every = {s: _named(of, metrics) for s, of in measured[variant].items()}
            found = {s: of for s, of in every.items() if all(map(math.isfinite, of.values()))}
            kept = self.kept(found, lower)
            return mean(_score(found[seed], lower) for seed in kept) if kept else -math.inf

        return max(self.variants(name), key=score)

    def sentences(self, chosen: Mapping[str, float | None]) -> list[str]:
        """What the table says of the choice.

        Args:
            chosen: The learning rate of each network.
        """
        said = []
        if self.select == BEST:
            said.append('Of each training, the epoch with the best acc_mtl counts.')
        if self.lrs:
            rates = ', '.join(f'{name} {lr:g}' for name, lr in chosen.items() if lr is not None)
            said.append(
                f'Of the learning rates {", ".join(f"{lr:g}" for lr in self.lrs)}, the one with '
                f'the best mean acc_mtl counts: {rates}.'
            )
        if self.trim:
            said.append(
                f'Means are without the {self.trim} best and the {self.trim} worst of the seeds, '
                f'by acc_mtl.'
            )
        return said


def _named(found: Metrics, metrics: Sequence[str]) -> dict[str, float]:
    return {name: found.get(name, math.nan) for name in metrics}


def _score(found: Metrics, lower: Collection[str]) -> float:
    """``acc_mtl``; the worst where it is not defined."""
    score = acc_mtl(found, lower) if found else math.nan
    return score if math.isfinite(score) else -math.inf


def of_task(task: str, metrics: Sequence[str]) -> list[str]:
    """Those of the metrics that are a task's."""
    return by_task(metrics)[task]
