"""The pipeline of a data set's config, wherever in it that is."""

from collections.abc import Mapping, Sequence
from typing import Any


def pipeline_of(dataset: Mapping[str, Any] | None) -> Sequence[Mapping[str, Any]]:
    """The steps of a data set, or of the first one of those that it is joined of or wraps.

    Args:
        dataset: Config of the data set, such as one of ``ConcatDataset`` or ``RepeatDataset``.

    Returns:
        The steps; none where there is no pipeline.
    """
    while dataset:
        if dataset.get('pipeline'):
            return dataset['pipeline']
        inner = dataset.get('datasets') or [dataset.get('dataset')]
        dataset = inner[0] if isinstance(inner[0], Mapping) else None
    return []
