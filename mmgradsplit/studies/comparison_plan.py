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

from .comparison_choice import BEST, Choice
from .measured import checked_lower, metric_by_task, references_of, several_tasks
from .rows import ACC
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
        choice: Which trainings count.
    """

    study: Study
    cfg: Config
    tasks: Sequence[str]
    methods: Mapping[str, str]
    metrics: Sequence[str]
    lower: frozenset[str]
    accuracies: Sequence[str]
    choice: Choice

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
        # Under --select best a training has other metrics.
        best = dict(select=BEST) if self.choice.select == BEST else {}
        contents['+'.join(self.tasks)] = dict(config_content(self.cfg), amp=self.study.amp, **best)
        return json.loads(json.dumps(contents))

    def config(
        self, method: str, references: Mapping[str, float], lr: float | None = None
    ) -> Config:
        """The config of a method.

        Args:
            method: Its name, or its file.
            references: The single-task value of each accuracy.
            lr: Learning rate in place of the config's.
        """
        cfg = Config(self.cfg.to_dict(), filename=self.cfg.filename)
        use_method(cfg, method, references)
        self.study.set_precision(cfg)
        if lr is not None:
            cfg.optim_wrapper.optimizer.lr = lr
        if self.choice.select == BEST:
            keep_best(cfg)
        return cfg

    def singles(self) -> list[Training]:
        """The single-task trainings, seed after seed; by the config's plain optimizer."""
        configs = {}
        for task in self.tasks:
            for name, lr in self.choice.variants(task).items():
                configs[name] = self.config('uniform', {}, lr)
                select_tasks(configs[name], [task])
        return [Training(name, seed, cfg) for seed in self.seeds for name, cfg in configs.items()]

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
                for variant, lr in self.choice.variants(name).items():
                    configs[variant] = self.config(file, references, lr)
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
    choice: Choice,
) -> Plan:
    """Check what the command line says, before anything is trained.

    Args:
        study: The study.
        cfg: Prepared config of all tasks.
        methods: See :func:`~mmgradsplit.studies.compare_methods`, as the others.
        metrics: What ``delta_m`` is made of.
        accuracies: The accuracy of each task.
        choice: Which trainings count.

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
    if choice.select == BEST and set(chosen) != set(references_of(cfg)):
        raise ValueError(
            f'--select best takes the epoch with the best acc_mtl, which the validations measure '
            f'of val_cfg.references, so these must be what delta_m is made of, {chosen}; got '
            f'{sorted(references_of(cfg))}'
        )
    if 2 * choice.trim >= study.repeat:
        raise ValueError(
            f'--trim {choice.trim} leaves none of {study.repeat} seeds; give --repeat '
            f'{2 * choice.trim + 1} or more'
        )
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
        choice=choice,
    )


def keep_best(cfg: Config) -> None:
    """Let a training validate after every epoch, and keep the one with the best ``acc_mtl``."""
    cfg.train_cfg.update(val_begin=1, val_interval=1)
    cfg.train_cfg.pop('dynamic_intervals', None)
    cfg.default_hooks = dict(cfg.get('default_hooks') or {})
    kept = dict(type='CheckpointHook') | dict(cfg.default_hooks.get('checkpoint') or {})
    cfg.default_hooks['checkpoint'] = dict(kept, save_best=ACC, rule='greater')
    cfg.select = BEST  # for the process of the training


def _follows(method: str) -> bool:
    """Whether a method follows the accuracies; which finds one that is unknown."""
    return needs_validation(load_method(method))
