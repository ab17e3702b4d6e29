"""The multi-task network: one shared backbone, and tasks that are whole upstream models."""

import copy
import inspect
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import torch
import torch.distributed as dist
from mmengine.dist import get_rank, get_world_size
from mmengine.logging import print_log
from mmengine.model import BaseModel, ModuleDict
from numpy.typing import NDArray
from torch import nn

from mmgradsplit.registry import MODELS
from mmgradsplit.utils.mmengine_private import forget_failed_init, unknown_type

from .batches import preprocess
from .exchanges import Exchanges
from .shared_backbone import BackbonePass, SharedBackbone
from .task_losses import (
    ComputesTaskLosses,
    TaskLosses,
    mean_of_ranks,
    supervised_losses,
    under,
)
from .task_norm import TaskNorm


class TaskPreprocessor(nn.Module):
    """Sends each batch to the data preprocessor of its own task.

    Args:
        tasks: The tasks' models; they stay the owners of their preprocessors.
    """

    def __init__(self, tasks: nn.ModuleDict) -> None:
        super().__init__()
        # In a tuple, so that the tasks are not registered (and saved) a second time.
        self._tasks = (tasks,)

    def forward(self, data: dict, training: bool = False) -> dict:
        """Preprocess ``inputs`` and ``data_samples``; what else is in the batch stays in it.

        A batch has a ``task``, or an ``allocation`` to several, which all preprocess alike.
        """
        if 'task' not in data and 'allocation' not in data:
            raise KeyError(
                "a batch for MultiTaskModel needs the key 'task' (or 'allocation'); the loops of "
                'mmgradsplit set it'
            )
        task = data.get('task', next(iter(self._tasks[0])))
        if task not in self._tasks[0]:
            raise KeyError(f"no task '{task}' in this model, which has {list(self._tasks[0])}")
        model: Any = self._tasks[0][task]
        return preprocess(model.data_preprocessor, data, training)


@MODELS.register_module()
class MultiTaskModel(ComputesTaskLosses, BaseModel):
    """A shared backbone and one head a task (GradSplit, Figure 2).

    Every task is a complete model of an OpenMMLab toolbox, built from that toolbox's own config
    without its backbone. Losses, decoding and post-processing are the task model's own.

    Args:
        backbone: Config of the shared backbone.
        tasks: Config of each task's model by the task's name. A type such as
            ``'mmpose.TopdownPoseEstimator'`` sets the scope in which nested types are looked up;
            ``_scope_`` overrides it. The order is the order of the filter groups.
        order: Names of the tasks in order, where that of ``tasks`` got lost: mmengine sorts the
            keys of the config that it leaves in the work dir. ``mmgradsplit.apis`` sets it.
        channels_last: Whether weights and images have their channels last in memory, as the tensor
            cores of a GPU take them. Checkpoints stay in the plain form.
        compile_backbone: Whether ``torch.compile`` compiles the backbone, a graph for each size of
            images and, under GradSplit, for each task; or the arguments of ``torch.compile``.

    Raises:
        ValueError: If there is no task, a task's config is not one of a model, or ``order`` does
            not name the tasks.

    Example:
        >>> model = dict(
        ...     type='MultiTaskModel',
        ...     backbone=dict(type='mmpretrain.ResNet', depth=50, norm_cfg=dict(type='GN', ...)),
        ...     tasks=dict(pose=dict(type='mmpose.TopdownPoseEstimator', head=dict(...))))
    """

    def __init__(
        self,
        backbone: dict,
        tasks: Mapping[str, dict],
        order: Sequence[str] | None = None,
        channels_last: bool = False,
        compile_backbone: bool | Mapping[str, Any] = False,
    ) -> None:
        if not tasks:
            raise ValueError('model.tasks is empty: a MultiTaskModel needs at least one task')
        if not isinstance(backbone, dict):
            raise ValueError(f'model.backbone must be a config (a dict), got {backbone!r}')
        order = list(tasks) if order is None else list(order)
        if sorted(order) != sorted(tasks):
            raise ValueError(f'model.order names {order}, but model.tasks has {list(tasks)}')
        # mmengine's ModuleDict, which passes init_weights on to the tasks; torch's does not.
        built = ModuleDict({name: self._build_task(name, tasks[name]) for name in order})
        super().__init__(data_preprocessor=TaskPreprocessor(built))
        self.backbone = MODELS.build(backbone)
        self.tasks = built
        self.exchanges = Exchanges('tasks.')
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.to(memory_format=self.memory_format)
        if compile_backbone is not False:
            options = {} if compile_backbone is True else dict(compile_backbone)
            _allow_graphs(8 * len(order))
            # In place, so that names in checkpoints stay.
            self.backbone.compile(**{'dynamic': False, **options})
        self.backbone_pass = BackbonePass(self.backbone, channels_last)
        for name, task in built.items():
            task.backbone.link(self.backbone_pass, name)
        for norm in self._task_norms():
            norm.link(self.backbone_pass, order)

    @staticmethod
    def _build_task(name: str, cfg: dict) -> nn.Module:
        if not isinstance(cfg, dict) or 'type' not in cfg:
            raise ValueError(
                f"model.tasks.{name} must be a model's config (a dict with 'type'), got {cfg!r}"
            )
        if '.' in name:
            raise ValueError(f"model.tasks: the task name '{name}' must not contain a dot")
        cfg = dict(cfg)
        scope, dot, _ = str(cfg['type']).rpartition('.')
        if dot:
            cfg.setdefault('_scope_', scope)
        if 'backbone' in cfg:
            print_log(f'model.tasks.{name}.backbone gives way to the shared backbone', 'current')
        cfg['backbone'] = dict(type='mmgradsplit.SharedBackbone')
        try:
            task = MODELS.build(cfg)
        except KeyError as error:
            unknown = unknown_type(error)
            if unknown is None:
                raise
            raise ValueError(
                f"model.tasks.{name}: mmgradsplit has no model '{unknown}'; say whose it is, as in "
                f"'mmpretrain.{unknown}' (or mmseg, mmpose, mmdet)"
            ) from error
        if not isinstance(task.backbone, SharedBackbone):
            raise ValueError(
                f'model.tasks.{name}: {type(task).__name__} does not take its backbone from its '
                f"config's key 'backbone', so it cannot share one"
            )
        return task

    def _task_norms(self) -> list[TaskNorm]:
        return [module for module in self.backbone.modules() if isinstance(module, TaskNorm)]

    @property
    def passes(self) -> list[list[str]]:
        """The tasks by backbone pass: those of one list share a pass over the same image.

        All of them do, unless the backbone has task-specific norms, which need a pass a task.
        """
        tasks = list(self.tasks)
        return [[task] for task in tasks] if self._task_norms() else [tasks]

    def own_parameters(self, task: str) -> Iterator[nn.Parameter]:
        """Parameters that only ``task`` uses: its model's, and those of its norms in the backbone.

        Args:
            task: Name of the task.
        """
        yield from self.tasks[task].parameters()
        for norm in self._task_norms():
            yield from norm[task].parameters()

    def init_weights(self) -> None:
        """Initialise all weights; without a network, what it would have brought is random."""
        # Random numbers fill a weight in the order in which it lies in memory.
        self.to(memory_format=torch.contiguous_format)
        try:
            super().init_weights()
        except (URLError, ConnectionError, TimeoutError) as error:
            if get_world_size() > 1 and get_rank() == 0:
                # The other ranks wait for rank 0's download; let them try and fail as well.
                dist.barrier()
            self._do_without_downloads(error)
            super().init_weights()
        for norm in self._task_norms():
            norm.start_alike()
        self.to(memory_format=self.memory_format)

    def _do_without_downloads(self, error: Exception) -> None:
        forget_failed_init(self)
        for name, module in self.named_modules():
            cfg = getattr(module, 'init_cfg', None)
            file = cfg.get('checkpoint') if isinstance(cfg, dict) else None
            if file is None or Path(file).is_file():
                continue
            module.init_cfg = _default_init(type(module))
            print_log(
                f'The weights named in model.{name}.init_cfg ({file}) cannot be downloaded '
                f'({error.__cause__ or error}). {name.upper()} STARTS FROM RANDOM WEIGHTS. To '
                f'train from ImageNet weights, go online once or give a local file in its '
                f'checkpoint there.',
                'current',
                logging.WARNING,
            )

    def forward(
        self,
        inputs: torch.Tensor,
        data_samples: Sequence | Mapping[str, Sequence] | None = None,
        mode: str = 'tensor',
        task: str | None = None,
        allocation: NDArray[np.bool_] | None = None,
        counts: NDArray[np.int64] | None = None,
    ) -> Any:
        """Run one task, or several over as few backbone passes as they need (``passes``).

        Args:
            inputs: shape [N x 3 x H x W], preprocessed.
            data_samples: The task's data samples, N of them; for several tasks, a mapping from task
                to its samples. Tasks that are not in the mapping are not run.
            mode: ``'loss'``, ``'predict'`` or ``'tensor'``, as in mmengine's ``BaseModel``.
            task: Name of the task, or None for those of ``data_samples``, by default all tasks.
            allocation: shape [N x T], which tasks each sample is supervised by, for ``'loss'`` in
                joint training. A sample's data sample then holds the annotations of all tasks.
            counts: shape [T], samples allocated to each task on all ranks.

        Returns:
            What the task's model returns; for several tasks, a dict of it by task. With an
            allocation, the :class:`~mmgradsplit.models.task_losses.TaskLosses`.

        Raises:
            KeyError: If the model has no such task.
        """
        if task is not None:
            if task not in self.tasks:
                raise KeyError(f"no task '{task}' in this model, which has {list(self.tasks)}")
            return self.tasks[task](inputs, data_samples, mode=mode)
        if allocation is not None:
            return supervised_losses(self, inputs, data_samples, allocation, counts)  # type: ignore[arg-type]
        samples: Mapping = (
            dict.fromkeys(self.tasks) if data_samples is None else data_samples  # type: ignore[assignment]
        )
        outputs = {}
        for tasks in self.passes:
            group = [name for name in tasks if name in samples]
            if not group:
                continue
            features = self.backbone_pass(inputs, group[0])
            with self.backbone_pass.hand_out(inputs, features):
                for name in group:
                    outputs[name] = self.tasks[name](inputs, samples[name], mode=mode)
        return outputs

    def task_losses(self, outputs: Any, data: Mapping[str, Any]) -> TaskLosses:
        """The task losses of what :meth:`forward` returned for ``'loss'``.

        Args:
            outputs: What it returned.
            data: The preprocessed batch.
        """
        if isinstance(outputs, TaskLosses):
            return outputs
        task = data['task']
        loss, log_vars = self.parse_losses(outputs)
        return TaskLosses(mean_of_ranks({task: loss}, [task], loss), under(task, log_vars))


def _allow_graphs(number: int) -> None:
    """Let torch make so many graphs of a function, before it goes on without."""
    import torch._dynamo  # takes a second, which only those who compile wait for

    config = torch._dynamo.config
    config.recompile_limit = max(config.recompile_limit, number)


def _default_init(kind: type) -> Any:
    """The ``init_cfg`` that a class, or the base class that takes it, has by default."""
    for base in kind.__mro__:
        parameters = inspect.signature(base).parameters
        if 'init_cfg' in parameters:
            return copy.deepcopy(parameters['init_cfg'].default)
    return None
