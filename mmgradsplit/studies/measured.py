"""What of a config is measured: its tasks and their metrics; and where a measurement comes from."""

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


def several_tasks(cfg: Config, why: str) -> list[str]:
    """The tasks of a config.

    Args:
        cfg: The config.
        why: Why there must be several, for the message.

    Raises:
        ValueError: If there are fewer than two.
    """
    tasks = list(cfg.get('model', {}).get('tasks', {}))
    if len(tasks) < 2:
        raise ValueError(f'{why}: model.tasks must have at least two, got {tasks}')
    return tasks


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


def references_of(cfg: Config) -> dict[str, dict[str, Any]]:
    """The single-task references of a config: ``value`` and ``lower_is_better`` of each metric."""
    given = (cfg.get('val_cfg') or {}).get('references') or {}
    return {
        name: dict(
            value=value['value'] if isinstance(value, Mapping) else value,
            lower_is_better=isinstance(value, Mapping) and value.get('lower_is_better', False),
        )
        for name, value in given.items()
    }


def lower_is_better(cfg: Config) -> frozenset[str]:
    """The metrics of which the references of a config say that a lower value is better."""
    references = references_of(cfg)
    return frozenset(name for name, of in references.items() if of['lower_is_better'])


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
