"""Data sets of several toolboxes joined to one, for joint training."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.dataset import ConcatDataset

from mmgradsplit.registry import DATASETS
from mmgradsplit.utils.mmengine_private import is_no_samples


@DATASETS.register_module()
class JoinedDataset(ConcatDataset):
    """mmengine's ``ConcatDataset`` of data sets that are annotated for different tasks.

    Each part is built from its toolbox's own config, with ``_scope_``, and packs its samples in its
    own way; a :class:`~mmgradsplit.models.JoinedDataPreprocessor` makes one batch of them. Parts
    have classes of their own, so that ``metainfo`` says which are those of a task. A part in
    mmengine's ``RepeatDataset`` comes several times an epoch.

    Args:
        datasets: Configs of the parts.
        metainfo: For each task with classes (or keypoints), its meta information: the number of
            the part whose own it is, from 0 on; the name of a data set whose ``METAINFO`` it is,
            such as ``'mmseg.PascalVOCDataset'``; or a dict. The inference names classes by it.
        lazy_init: As in mmengine's ``ConcatDataset``.

    Attributes:
        task_metainfo: The meta information of each task.

    Raises:
        ValueError: If a part has no samples, or there is no such part or data set.

    Example:
        >>> JoinedDataset(
        ...     datasets=[
        ...         dict(_scope_='mmdet', type='VOCDataset', ...),
        ...         dict(_scope_='mmgradsplit', type='NYUv2', ...)],
        ...     metainfo=dict(detection=0, seg=1))
    """

    def __init__(
        self,
        datasets: Sequence[Mapping[str, Any]],
        metainfo: Mapping[str, Any] | None = None,
        lazy_init: bool = False,
    ) -> None:
        # mmengine's own constructor wants the parts to have the same classes.
        self.datasets = [_built(index, part) for index, part in enumerate(datasets)]
        self.ignore_keys: list[str] = []
        self.task_metainfo = {
            task: self._of_task(task, of) for task, of in (metainfo or {}).items()
        }
        self._metainfo = self.task_metainfo
        self._fully_initialized = False
        if not lazy_init:
            self.full_init()

    def _of_task(self, task: str, of: Mapping[str, Any] | str | int) -> dict[str, Any]:
        """The meta information of a task."""
        if isinstance(of, Mapping):
            return dict(of)
        if isinstance(of, int) and 0 <= of < len(self.datasets):
            return dict(self.datasets[of].metainfo)
        kind: Any = DATASETS.get(of) if isinstance(of, str) else None
        if kind is None:
            raise ValueError(
                f'dataset.metainfo.{task} is {of!r}, but it must be the number of a part, from 0 '
                f'to {len(self.datasets) - 1}, the name of a data set of a toolbox, such as '
                f"'mmseg.PascalVOCDataset', or a dict"
            )
        return copy.deepcopy(kind.METAINFO)


def _built(index: int, part: Mapping[str, Any]) -> Any:
    try:
        return DATASETS.build(dict(part))
    except ValueError as error:
        if not is_no_samples(error):
            raise
        raise ValueError(
            f'dataset.datasets[{index}] ({part["type"]}) is empty; check its data_root, '
            f'data_prefix, ann_file and filter_cfg, or leave it out'
        ) from error
