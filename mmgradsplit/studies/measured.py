"""What the tools that measure by many trainings share: the metric of each task, and provenance.

May import all of mmgradsplit.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from mmengine.config import Config

PACKAGES = ('mmgradsplit', 'torch', 'mmengine', 'mmcv', 'mmpretrain', 'mmpose', 'mmseg')


def metric_by_task(names: Sequence[str], tasks: Sequence[str], where: str) -> dict[str, str]:
    """The metric of each task.

    Args:
        names: The metrics, as ``task/metric``.
        tasks: Names of the tasks.
        where: Where they are named, for messages.

    Raises:
        ValueError: If they do not name each task once.
    """
    found = {name.split('/')[0]: name for name in names}
    if sorted(found) != sorted(tasks) or len(names) != len(tasks):
        raise ValueError(
            f'the accuracy of each task {list(tasks)} must be named once, as task/metric, '
            f'{where}; got {list(names)}'
        )
    return found


def references_of(cfg: Config) -> tuple[list[str], set[str]]:
    """The metrics that ``val_cfg.references`` names, and of which of them a lower value is better.

    Args:
        cfg: Config of all tasks.
    """
    references = (cfg.get('val_cfg') or {}).get('references') or {}
    lower = {
        name
        for name, value in references.items()
        if isinstance(value, Mapping) and value.get('lower_is_better', False)
    }
    return list(references), lower


def provenance(
    cfg: Config, content: Mapping[str, Any], seeds: Sequence[int], optional: Sequence[str] = ()
) -> dict[str, Any]:
    """Where a measurement comes from.

    Args:
        cfg: Config of all tasks.
        content: What decides the trainings.
        seeds: Their seeds.
        optional: Further distributions whose versions matter, where they are installed.
    """
    versions = {name: import_module(name).__version__ for name in PACKAGES}
    for name in optional:
        with suppress(PackageNotFoundError):
            versions[name] = version(name)
    return dict(
        config=Path(cfg.filename).name if cfg.filename else None,
        config_sha256=hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest(),
        seeds=list(seeds),
        versions=versions,
    )
