"""Lets whatever follows a metric know whether a lower value of it is better."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmengine.config import Config
from mmengine.hooks import CheckpointHook, EarlyStoppingHook
from mmengine.optim import ReduceOnPlateauParamScheduler

from mmgradsplit.evaluation import direction, lower_is_better
from mmgradsplit.evaluation.directions import SUMS
from mmgradsplit.registry import HOOKS, PARAM_SCHEDULERS
from mmgradsplit.utils import ConfigError

from .methods import needs_validation


def all_hooks(cfg: Config) -> Iterator[tuple[str, Any]]:
    """The hooks of a config, each with its key."""
    for name, hook in (cfg.get('default_hooks') or {}).items():
        if isinstance(hook, Mapping):
            yield f'default_hooks.{name}', hook
    for place, hook in enumerate(cfg.get('custom_hooks') or ()):
        if isinstance(hook, Mapping):
            yield f'custom_hooks.{place}', hook


def settle_rules(cfg: Config) -> list[str]:
    """Let what follows a metric know whether a lower value of it is better.

    ``rule`` of checkpoint hooks with ``save_best``, of early stopping and of schedules that wait
    for a plateau is set where the config does not say it, and compared with what is known where it
    does.

    Args:
        cfg: The config; it changes.

    Returns:
        What there is to say of it, in sentences.

    Raises:
        ConfigError: If the direction is not known, or the config says another one.
    """
    evaluators = cfg.get('val_evaluator')
    loop = cfg.get('val_cfg')
    references = loop.get('references') if isinstance(loop, Mapping) else None
    if evaluators is None:
        return without_best(cfg)
    said = {
        name: of.get('lower_is_better')
        for name, of in (references or {}).items()
        if isinstance(of, Mapping)
    }

    def settle(key: str, part: Any, names: Sequence[str], at: str) -> None:
        rules = part.get('rule')
        rules = [rules] * len(names) if isinstance(rules, str | None) else list(rules)
        if len(rules) == 1:
            rules *= len(names)
        found = []
        for name, rule in zip(names, rules, strict=False):
            if name in SUMS and not references and 'tasks' in cfg.model:
                raise ConfigError(
                    f"{key}.{at} is '{name}', which needs val_cfg.references: give the single-task "
                    f"values, or name a metric, as 'task/metric'; {key}.{at}=None follows nothing"
                )
            if rule not in (None, 'greater', 'less'):
                raise ConfigError(f"{key}.rule must be 'greater' or 'less', got {rule!r}")
            lower = said.get(name) if rule is None else rule == 'less'
            found.append(
                'less' if _direction(name, lower, evaluators, f'{key}.rule') else 'greater'
            )
        part['rule'] = found if at == 'save_best' else found[0]

    if needs_validation(cfg):
        weighting = cfg.optim_wrapper.weighting
        for name in weighting.get('references') or weighting.get('metrics') or ():
            if lower_is_better(name, evaluators):
                raise ConfigError(
                    f'optim_wrapper.weighting: {weighting["type"]} follows accuracies, but a lower '
                    f"value of '{name}' is better; name another metric"
                )
    for key, hook in all_hooks(cfg):
        kind = HOOKS.get(hook['type']) if isinstance(hook.get('type'), str) else hook.get('type')
        if not isinstance(kind, type):
            continue
        best = hook.get('save_best')
        if issubclass(kind, CheckpointHook) and best:
            names = [best] if isinstance(best, str) else best
            if not isinstance(names, list) or not all(isinstance(each, str) for each in names):
                raise ConfigError(f'{key}.save_best must be the name of a metric, got {best!r}')
            if 'auto' in names:
                raise ConfigError(
                    f"{key}.save_best is 'auto', but a multi-task network has many metrics; name "
                    f"one, as 'task/metric', or 'delta_m'"
                )
            settle(key, hook, names, 'save_best')
        elif issubclass(kind, EarlyStoppingHook) and isinstance(hook.get('monitor'), str):
            settle(key, hook, [hook['monitor']], 'monitor')
    for key, schedule in _schedules('param_scheduler', cfg.get('param_scheduler')):
        kind = schedule.get('type')
        kind = PARAM_SCHEDULERS.get(kind) if isinstance(kind, str) else kind
        if isinstance(kind, type) and issubclass(kind, ReduceOnPlateauParamScheduler):
            settle(key, schedule, [schedule.get('monitor', 'loss')], 'monitor')
    return []


def without_best(cfg: Config) -> list[str]:
    """Let no checkpoint be the best one, where there is no validation; say so in sentences."""
    notices = []
    for key, hook in all_hooks(cfg):
        if hook.get('save_best'):
            notices.append(f'No validation: {key}.save_best={hook["save_best"]!r} saves nothing.')
            hook['save_best'] = None
    return notices


def _direction(name: str, lower: bool | None, evaluators: Any, key: str) -> bool:
    if name == 'loss' and lower is None:
        return True
    return direction(name, lower, evaluators, key)


def _schedules(key: str, part: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(part, Mapping) and 'type' in part:
        yield key, part
    elif isinstance(part, Mapping):
        for name, each in part.items():
            yield from _schedules(f'{key}.{name}', each)
    elif isinstance(part, list | tuple):
        for place, each in enumerate(part):
            yield from _schedules(f'{key}.{place}', each)
