"""What of a config is measured: its tasks and their metrics; and where a measurement comes from."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmgradsplit import evaluation

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
            lower_is_better=_said(cfg, name) or bool(evaluation.lower_is_better(name, _of(cfg))),
        )
        for name, value in given.items()
    }


def lower_is_better(cfg: Config, names: Iterable[str] = ()) -> frozenset[str]:
    """The metrics of which a lower value is better, as far as a config or a metric class says it.

    Args:
        cfg: The config.
        names: Metrics beside those of its references.
    """
    known = {name for name, of in references_of(cfg).items() if of['lower_is_better']}
    return frozenset(known | {n for n in names if evaluation.lower_is_better(n, _of(cfg))})


def checked_lower(cfg: Config, names: Iterable[str], where: str) -> frozenset[str]:
    """The metrics of which a lower value is better, where each must be known.

    Args:
        cfg: The config.
        names: The metrics.
        where: Where they are named, for messages.

    Raises:
        ConfigError: If the direction of a metric is not known, or the references of the config say
            another one than its class.
    """
    return frozenset(
        name for name in names if evaluation.direction(name, _said(cfg, name), _of(cfg), where)
    )


def _said(cfg: Config, name: str) -> bool | None:
    """What the references of a config say of a metric's direction."""
    of = ((cfg.get('val_cfg') or {}).get('references') or {}).get(name)
    return of.get('lower_is_better') if isinstance(of, Mapping) else None


def _of(cfg: Config) -> Any:
    return cfg.get('val_evaluator')


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
