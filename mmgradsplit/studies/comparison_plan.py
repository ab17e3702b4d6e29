"""What a comparison of methods trains: the single-task networks, and one network a method."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmgradsplit.apis.methods import load_method, method_names, needs_validation, use_method
from mmgradsplit.apis.tasks import select_tasks
from mmgradsplit.functional import by_task

from .measured import checked_lower, metric_by_task, references_of, several_tasks
from .study import Study, config_content
from .trainings import Training


@dataclass(frozen=True)
class Plan:
    """What is to be trained and measured.

    Attributes:
        study: The study.
        cfg: Prepared config of all tasks.
        tasks: Their names.
        methods: Names of the methods, with what :func:`~mmgradsplit.apis.methods.load_method` knows
            each by.
        metrics: What ``delta_m`` is made of, by the metrics' names.
        lower: Of which of them a lower value is better.
        accuracies: The accuracy of each task; empty where no method follows it.
    """

    study: Study
    cfg: Config
    tasks: Sequence[str]
    methods: Mapping[str, str]
    metrics: Sequence[str]
    lower: frozenset[str]
    accuracies: Sequence[str]

    @property
    def seeds(self) -> range:
        """The seeds."""
        return self.study.seeds(self.cfg)

    def contents(self) -> dict[str, Any]:
        """What decides the trainings, by name: the config, and how each method changes it."""
        contents: dict[str, Any] = {}
        for name, file in self.methods.items():
            contents[name] = load_method(file)
            if needs_validation(contents[name]):
                contents[name]['accuracies'] = list(self.accuracies)
        contents['+'.join(self.tasks)] = dict(config_content(self.cfg), amp=self.study.amp)
        return json.loads(json.dumps(contents))

    def config(self, method: str, references: Mapping[str, float]) -> Config:
        """The config of a method.

        Args:
            method: Its name, or its file.
            references: The single-task value of each accuracy.
        """
        cfg = Config(self.cfg.to_dict(), filename=self.cfg.filename)
        use_method(cfg, method, references)
        self.study.set_precision(cfg)
        return cfg

    def singles(self) -> list[Training]:
        """The single-task trainings, seed after seed; by the config's plain optimizer."""
        configs = {}
        for task in self.tasks:
            configs[task] = self.config('uniform', {})
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
        for name, file in self.methods.items():
            try:
                configs[name] = self.config(file, references)
            except ValueError as error:
                wrong[name] = str(error)
        every = [Training(name, seed, cfg) for seed in self.seeds for name, cfg in configs.items()]
        return every, wrong


def make_plan(
    study: Study,
    cfg: Config,
    methods: Sequence[str] | None,
    metrics: Sequence[str] | None,
    accuracies: Sequence[str] | None,
) -> Plan:
    """Check what the command line says, before anything is trained.

    Args:
        study: The study.
        cfg: Prepared config of all tasks.
        methods: See :func:`~mmgradsplit.studies.compare_methods`, as the others.
        metrics: What ``delta_m`` is made of.
        accuracies: The accuracy of each task.

    Raises:
        ValueError: If the config is not one of several tasks, a method is unknown, or a task has no
            metric.
    """
    tasks = several_tasks(cfg, 'methods balance tasks')
    files = method_names() if methods is None else list(methods)
    names = [Path(file).stem for file in files]
    following = [name for name, file in zip(names, files, strict=True) if _follows(file)]
    if len({*tasks, *names}) < len(tasks) + len(names):
        raise ValueError(
            f'tasks and methods name the folders of their trainings, so they must differ: tasks '
            f'{tasks}, --methods {names}'
        )
    accuracies = accuracies or list(cfg.get('accuracies') or ())
    chosen = list(metrics or references_of(cfg) or accuracies)
    if set(by_task(chosen)) != set(tasks):
        raise ValueError(
            f'what delta_m is made of must be named for each task {tasks}, as task/metric, in '
            f'val_cfg.references, by --metrics or by --accuracies; got {chosen}'
        )
    lower = checked_lower(cfg, chosen, '--metrics')
    if following:
        rising = by_task(name for name in chosen if name not in lower)
        where = f'by --accuracies, in percent and better when higher, for {following}'
        given = accuracies or [of[0] for of in rising.values()]
        accuracies = list(metric_by_task(given, tasks, where).values())
    return Plan(
        study=study,
        cfg=cfg,
        tasks=tasks,
        methods=dict(zip(names, files, strict=True)),
        metrics=chosen,
        lower=lower,
        accuracies=accuracies if following else (),
    )


def _follows(method: str) -> bool:
    """Whether a method follows the accuracies; which finds one that is unknown."""
    return needs_validation(load_method(method))
