"""What a comparison of methods trains: the single-task networks, and one network a method.

May import all of mmgradsplit.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmengine.config import Config

from mmgradsplit.apis.methods import (
    METHODS,
    UNIFORM,
    WEIGHTING,
    follows_validation,
    method_options,
    use_method,
)
from mmgradsplit.apis.preparation import use_mixed_precision
from mmgradsplit.apis.tasks import select_tasks
from mmgradsplit.functional import by_task

from .measured import metric_by_task, references_of
from .ownership import config_content
from .trainings import Training


@dataclass(frozen=True)
class Plan:
    """What is to be trained and measured.

    Attributes:
        cfg: Prepared config of all tasks.
        tasks: Their names.
        methods: Names of the methods.
        seeds: The seeds.
        metrics: What ``delta_m`` is made of, by the metrics' names.
        lower: Of which of them a lower value is better.
        accuracies: The accuracy of each task; empty where no method follows it.
        amp: Whether in mixed precision.
    """

    cfg: Config
    tasks: Sequence[str]
    methods: Sequence[str]
    seeds: Sequence[int]
    metrics: Sequence[str]
    lower: frozenset[str]
    accuracies: Sequence[str]
    amp: bool

    def contents(self) -> dict[str, Any]:
        """What decides the trainings, by name: the config, and how each method changes it."""
        contents: dict[str, Any] = {}
        for method in self.methods:
            contents[method] = dict(options=method_options(method))
            if _follows(method):
                contents[method]['accuracies'] = list(self.accuracies)
        contents['+'.join(self.tasks)] = dict(config_content(self.cfg), amp=self.amp)
        return json.loads(json.dumps(contents))

    def config(self, method: str, references: Mapping[str, float]) -> Config:
        """The config of a method.

        Args:
            method: Its name.
            references: The single-task value of each accuracy.
        """
        cfg = Config(self.cfg.to_dict(), filename=self.cfg.filename)
        use_method(cfg, method, self.accuracies, references)
        if self.amp:
            use_mixed_precision(cfg)
        return cfg

    def singles(self) -> list[Training]:
        """The single-task trainings, seed after seed; by the config's plain optimizer."""
        configs = {}
        for task in self.tasks:
            configs[task] = self.config(UNIFORM, {})
            select_tasks(configs[task], [task])
        return [Training(task, seed, cfg) for seed in self.seeds for task, cfg in configs.items()]

    def of_methods(self, references: Mapping[str, float]) -> tuple[list[Training], dict[str, str]]:
        """The trainings of all tasks, seed after seed.

        Args:
            references: The single-task value of each accuracy.

        Returns:
            The trainings, and what is wrong with the methods that do not go with the config.
        """
        configs, wrong = {}, {}
        for method in self.methods:
            try:
                configs[method] = self.config(method, references)
            except ValueError as error:
                wrong[method] = str(error)
        every = [Training(name, seed, cfg) for seed in self.seeds for name, cfg in configs.items()]
        return every, wrong


def make_plan(
    cfg: Config,
    methods: Sequence[str] | None,
    metrics: Sequence[str] | None,
    accuracies: Sequence[str] | None,
    repeat: int,
    amp: bool,
) -> Plan:
    """Check what the command line says, before anything is trained.

    Args:
        cfg: Prepared config of all tasks.
        methods: See :func:`~mmgradsplit.apis.compare_methods`, as the others.
        metrics: What ``delta_m`` is made of.
        accuracies: The accuracy of each task.
        repeat: Number of seeds.
        amp: Mixed precision.

    Raises:
        ValueError: If the config is not one of several tasks, a method is unknown, or a task has no
            metric.
    """
    tasks = list(cfg.get('model', {}).get('tasks', {}))
    if len(tasks) < 2:
        raise ValueError(f'methods balance tasks: model.tasks must have at least two, got {tasks}')
    names = list(METHODS) if methods is None else list(methods)
    following = [name for name in names if _follows(name)]  # which finds unknown ones
    if len({*tasks, *names}) < len(tasks) + len(names):
        raise ValueError(
            f'tasks and methods name the folders of their trainings, so they must differ: tasks '
            f'{tasks}, --methods {names}'
        )
    referenced, lower = references_of(cfg)
    chosen = list(metrics or referenced or accuracies or ())
    if set(by_task(chosen)) != set(tasks):
        raise ValueError(
            f'what delta_m is made of must be named for each task {tasks}, as task/metric, in '
            f'val_cfg.references, by --metrics or by --accuracies; got {chosen}'
        )
    if following and accuracies is None:
        rising = by_task(name for name in chosen if name not in lower)
        accuracies = [of[0] for of in rising.values()]
    where = f'by --accuracies, in percent and better when higher, for {following}'
    followed = metric_by_task(accuracies or (), tasks, where).values() if following else ()
    first = config_content(cfg)['seed']
    return Plan(
        cfg, tasks, names, range(first, first + repeat), chosen, frozenset(lower), [*followed], amp
    )


def _follows(method: str) -> bool:
    return follows_validation(dict(model=dict(weighting=method_options(method).get(WEIGHTING))))
