"""Data sets of several toolboxes joined to one, for joint training."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.dataset import ConcatDataset

from mmgradsplit.registry import DATASETS


@DATASETS.register_module()
class JoinedDataset(ConcatDataset):
    """mmengine's ``ConcatDataset`` of data sets that are annotated for different tasks.

    Each part is built from its toolbox's own config, with ``_scope_``, and packs its samples in its
    own way; a :class:`~mmgradsplit.models.JoinedDataPreprocessor` makes one batch of them. Parts
    have classes of their own, so that ``metainfo`` says which are those of a task. A part in
    mmengine's ``RepeatDataset`` comes several times an epoch.

    Args:
        datasets: Configs of the parts.
        metainfo: For each task with classes (or keypoints), its meta information: a dict, or the
            name of a data set whose ``METAINFO`` it is, such as ``'mmseg.PascalVOCDataset'``. The
            inference names classes by it.
        lazy_init: As in mmengine's ``ConcatDataset``.

    Attributes:
        task_metainfo: The meta information of each task.

    Raises:
        ValueError: If a part has no samples.

    Example:
        >>> JoinedDataset(
        ...     datasets=[
        ...         dict(_scope_='mmdet', type='VOCDataset', ...),
        ...         dict(type='NYUv2', ...)],
        ...     metainfo=dict(detection='mmdet.VOCDataset'))
    """

    def __init__(
        self,
        datasets: Sequence[Mapping[str, Any]],
        metainfo: Mapping[str, Any] | None = None,
        lazy_init: bool = False,
    ) -> None:
        # mmengine's own constructor wants the parts to have the same classes.
        self.datasets = [DATASETS.build(dict(part)) for part in datasets]
        self.ignore_keys = []
        self.task_metainfo = {task: _meta(of) for task, of in (metainfo or {}).items()}
        self._metainfo = self.task_metainfo
        self._fully_initialized = False
        if not lazy_init:
            self.full_init()

    def full_init(self) -> None:
        """Read the annotations of all parts."""
        super().full_init()
        for index, part in enumerate(self.datasets):
            if not len(part):
                raise ValueError(
                    f'dataset.datasets[{index}] ({type(part).__name__}) has no samples; check its '
                    f'data_root, data_prefix, ann_file and filter_cfg, or leave it out'
                )


def _meta(of: Mapping[str, Any] | str) -> dict[str, Any]:
    if not isinstance(of, str):
        return dict(of)
    kind: Any = DATASETS.get(of)
    if kind is None:
        raise ValueError(
            f"dataset.metainfo: there is no data set '{of}'; say whose it is, as in "
            f"'mmseg.PascalVOCDataset', or give the meta information as a dict"
        )
    return copy.deepcopy(kind.METAINFO)
