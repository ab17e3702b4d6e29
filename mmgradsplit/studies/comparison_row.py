"""What a comparison measured of one method."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from mmgradsplit.functional import acc_mtl, delta_m, delta_raw
from mmgradsplit.utils.tables import mean_of, spread_of

from .comparison_choice import Choice
from .rows import ACC, DELTA, RAW

DIVERGED = 'diverged'


@dataclass
class MethodRow:
    """What was measured of one method.

    Attributes:
        name: The method.
        seeds: The seeds it was to be trained with.
        metrics: The metrics of the trainings that came to an end with finite ones, by seed.
        problems: What became of the others, by seed: ``'diverged'``, ``'failed'``, …
        alike: Seeds with which another method ends in the same weights, by its name.
        choice: Which seeds count.
    """

    name: str
    seeds: Sequence[int]
    metrics: dict[int, dict[str, float]] = field(default_factory=dict)
    problems: dict[int, str] = field(default_factory=dict)
    alike: dict[str, list[int]] = field(default_factory=dict)
    choice: Choice = field(default_factory=Choice)

    def add(
        self,
        seed: int,
        metrics: Mapping[str, float],
        single_task: Mapping[str, float],
        lower: Collection[str],
    ) -> None:
        """Add the metrics of a seed with their sums, ``acc_mtl`` and ``delta_m``.

        Args:
            seed: The seed.
            metrics: All metrics of the training.
            single_task: What ``delta_m`` is relative to, by the metric's name.
            lower: Names of the metrics of which a lower value is better.
        """
        named = {name: metrics.get(name, math.nan) for name in single_task}
        if not all(map(math.isfinite, named.values())):
            self.problems[seed] = DIVERGED
            return
        try:
            sums = {
                ACC: acc_mtl(named, lower),
                DELTA: delta_m(named, single_task, lower),
                RAW: delta_raw(named, single_task, lower),
            }
        except ArithmeticError:  # a value beyond all
            self.problems[seed] = DIVERGED
            return
        self.metrics[seed] = {**metrics, **sums}

    @property
    def number(self) -> int:
        """Number of the seeds that count."""
        return len(self.counted)

    @property
    def counted(self) -> list[dict[str, float]]:
        """The metrics of the seeds that count."""
        sums = {seed: {ACC: of[ACC]} for seed, of in self.metrics.items()}
        return [self.metrics[seed] for seed in self.choice.kept(sums, ())]

    @property
    def state(self) -> str:
        """What is wrong, in words; nothing where all is well."""
        found: dict[str, list[int]] = {}
        for seed, kind in self.problems.items():
            found.setdefault(kind, []).append(seed)
        found |= {f'same weights as {name}': seeds for name, seeds in self.alike.items()}
        return ', '.join(
            kind if len(seeds) == len(self.seeds) else f'{kind}: seed {" ".join(map(str, seeds))}'
            for kind, seeds in found.items()
        )

    def values(self, column: str) -> list[float]:
        """The values of a metric, one a seed that has it."""
        return [metrics[column] for metrics in self.counted if column in metrics]

    def summary(self) -> dict[str, dict[str, float | None]]:
        """Mean and standard deviation (with n - 1) of each metric, None where there is none."""
        columns = dict.fromkeys(name for metrics in self.counted for name in metrics)
        found = {name: list(filter(math.isfinite, self.values(name))) for name in columns}
        return {
            name: dict(mean=mean_of(of), std=spread_of(of) if len(of) > 1 else None)
            for name, of in found.items()
            if of
        }
