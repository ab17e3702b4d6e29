"""Builds GradSplitOptimWrapper from the config."""

import copy
import fnmatch
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.optim import OptimWrapper
from numpy.typing import NDArray
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.modules.instancenorm import _InstanceNorm

from mmgradsplit.functional import THRESHOLD, spans
from mmgradsplit.optim.aggregation.aggregators import build_aggregator
from mmgradsplit.optim.aggregation.combination import Combination
from mmgradsplit.optim.aggregation.gradient_sums import GradientAggregate, GradientSum
from mmgradsplit.optim.aggregation.task_jacobian import any_matrix
from mmgradsplit.optim.constructor import Group, MultiTaskOptimWrapperConstructor
from mmgradsplit.optim.weightings import Weighting
from mmgradsplit.optim.wrapper import SHARED
from mmgradsplit.registry import OPTIM_WRAPPER_CONSTRUCTORS

from .drop_grad import DropGrad
from .leaves import Leaf
from .relations import load_changes, load_mask
from .task_update import TaskUpdate
from .wrapper import GradSplitOptimWrapper

NORMS = (_BatchNorm, _InstanceNorm, nn.GroupNorm)


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class GradSplitOptimWrapperConstructor(MultiTaskOptimWrapperConstructor):
    """Constructor of :class:`GradSplitOptimWrapper`.

    Args:
        optim_wrapper_cfg: Keys:

            - ``relations``: see :func:`~.relations.load_mask`. It has to be said.
            - ``threshold``: of the relation mask. Default -0.01 (section 3.1).
            - ``modules``: names, or patterns such as ``'layer[34]'``, of the backbone's modules
              whose convolutions are split. Default ``['layer4']`` (Table 4).
            - ``split_norm``: whether the affine parameters of the norms in these modules are split
              as the convolutions are. Default False.
            - ``optimizers``: ``'separate'``, one a task (section 4.1), or ``'shared'``. Default
              ``'separate'``.
            - ``update``: ``'step'``, after every task step, or ``'iteration'``, after the masked
              task gradients of a major iteration are summed (Eq. 4); the latter needs
              ``optimizers='shared'``. Default ``'step'``.
            - ``aggregator``: with ``update='iteration'``, aggregates the masked task gradients
              instead of adding them up, on what several tasks train of the backbone, see
              :func:`~mmgradsplit.optim.aggregation.aggregators.build_aggregator`.
            - ``drop_grad``: share of the gradients of what is split in ``modules`` that every task
              step drops at random, see :class:`~.drop_grad.DropGrad`. With ``relations='all'``
              this is the DropGrad of Tables 4 and 7. Default 0.
            - ``optimizer``, ``weighting``, ``base``, ``accumulative_counts``, ``clip_grad``: as in
              :class:`~mmgradsplit.optim.MultiTaskOptimWrapperConstructor`, for every task alike.
        paramwise_cfg: As in mmengine's ``DefaultOptimWrapperConstructor``.

    Raises:
        ValueError: If a value is none of the above, a module name matches nothing or no
            convolution, or a convolution has fewer filters than there are tasks.
    """

    serves = GradSplitOptimWrapper

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None) -> None:
        options = dict(optim_wrapper_cfg)
        options.setdefault('type', 'mmgradsplit.GradSplitOptimWrapper')
        if options.get('relations') is None:
            raise ValueError(
                'optim_wrapper.relations is missing: it says which tasks may train whose filters. '
                'Give a JSON file of relations (`mmgradsplit estimate-relations` measures them), a '
                "matrix, 'all' for the multi-head baseline, or 'none' for each group by its own "
                'task alone'
            )
        self.relations = options.pop('relations')
        self.threshold = float(options.pop('threshold', THRESHOLD))
        if not (abs(self.threshold) < 1 or math.isinf(self.threshold)):
            raise ValueError(
                f'optim_wrapper.threshold is {self.threshold:g}, but relations are relative '
                f'changes, not percent: GradSplit uses -0.01 for a loss of 1%'
            )
        modules = options.pop('modules', ['layer4'])
        self.modules = [modules] if isinstance(modules, str) else modules
        self.split_norm = options.pop('split_norm', False)
        if not isinstance(self.split_norm, bool):
            raise ValueError(
                f'optim_wrapper.split_norm must be True or False, got {self.split_norm!r}'
            )
        self.optimizers = options.pop('optimizers', 'separate')
        self.update = options.pop('update', 'step')
        self.aggregator = options.pop('aggregator', None)
        self.drop_grad = options.pop('drop_grad', 0.0)
        super().__init__(options, paramwise_cfg)
        for key, value, known in (
            ('optimizers', self.optimizers, ('separate', SHARED)),
            ('update', self.update, ('step', 'iteration')),
        ):
            if value not in known:
                raise ValueError(f"optim_wrapper.{key} must be one of {known}, got '{value}'")
        if self.update == 'iteration' and self.optimizers != SHARED:
            raise ValueError(
                "optim_wrapper.update='iteration' sums the gradients of all tasks for one step, so "
                "it needs optim_wrapper.optimizers='shared'"
            )
        if self.aggregator is not None and self.update != 'iteration':
            raise ValueError(
                'optim_wrapper.aggregator needs the task gradients of a whole major iteration; '
                "with GradSplit's mask, set optim_wrapper.optimizers='shared' and "
                "optim_wrapper.update='iteration'"
            )
        scaled = 'Amp' in str(self.base['type']) and self.base.get('accumulative_counts', 1) > 1
        if scaled and self.optimizers == SHARED and self.update == 'step':
            raise ValueError(
                "optim_wrapper: a loss scale that all tasks share (base.type='AmpOptimWrapper', "
                "optimizers='shared') would change while a task still accumulates; use "
                "optimizers='separate', update='iteration' or accumulative_counts=1"
            )

    def build(
        self, model: Any, weighting: Weighting, groups: Sequence[Group]
    ) -> GradSplitOptimWrapper:
        """The wrapper for a :class:`~mmgradsplit.models.MultiTaskModel`."""
        if not hasattr(model, 'own_parameters'):
            raise ValueError(
                f'GradSplitOptimWrapper needs a MultiTaskModel, but the model is a '
                f'{type(model).__name__}; set model.type'
            )
        tasks = list(model.tasks)
        learned = list(weighting.parameters())
        mask = load_mask(self.relations, tasks, self.threshold)
        split = self._split_parameters(model.backbone, len(tasks))
        leaves_of = self._leaves(model, learned, tasks, mask, set(split))
        drop = DropGrad(split, self.drop_grad)
        leaves = [leaf for group in groups for leaf in leaves_of[group['params'][0]]]
        bases: dict[str, OptimWrapper] = {}
        updates: dict[str, TaskUpdate] = {}
        once = self._sums(model, leaves, tasks) if self.update == 'iteration' else None
        if self.optimizers == SHARED:
            bases[SHARED] = self.build_base(_held_by(tasks, groups, leaves_of))
            sums = once or GradientSum()
            for task in tasks:
                # Copies share the optimizer and the loss scaler, but count their own task steps.
                wrapper = copy.copy(bases[SHARED])
                updates[task] = TaskUpdate(task, wrapper, leaves, learned, drop, sums)
        else:
            for task in tasks:
                bases[task] = self.build_base(_held_by([task], groups, leaves_of))
                alone = GradientSum()
                updates[task] = TaskUpdate(task, bases[task], leaves, learned, drop, alone)
        names = {param: name for name, param in model.named_parameters()}
        names.update((param, f'weighting.{name}') for name, param in weighting.named_parameters())
        literal = isinstance(self.relations, str) and self.relations in ('all', 'none')
        changes = None if literal else load_changes(self.relations, tasks)
        return GradSplitOptimWrapper(
            bases,
            model,
            weighting,
            updates,
            leaves,
            names,
            mask,
            changes,
            self.threshold,
            split,
            once,
        )

    def _sums(self, model: Any, leaves: Sequence[Leaf], tasks: list[str]) -> GradientSum:
        """What becomes of the task gradients of a major iteration."""
        if self.aggregator is None:
            return GradientSum()
        backbone = {param for param in model.backbone.parameters() if param.requires_grad}
        shared = [
            leaf.param for leaf in leaves if leaf.source in backbone and len(leaf.holders) > 1
        ]
        like = any_matrix(next(model.backbone.parameters()), len(tasks))
        combination = Combination(build_aggregator(self.aggregator, tasks, like))
        return GradientAggregate(shared, tasks, combination)

    @staticmethod
    def _leaves(
        model: Any,
        learned: Sequence[nn.Parameter],
        tasks: list[str],
        mask: NDArray[np.bool_],
        split: set[nn.Parameter],
    ) -> dict[nn.Parameter, list[Leaf]]:
        """The leaves of every parameter of the model, and of learned weights."""
        every = frozenset(tasks)
        owners: dict[nn.Parameter, list[str]] = {}
        for task in tasks:
            for param in model.own_parameters(task):
                owners.setdefault(param, []).append(task)
        leaves: dict[nn.Parameter, list[Leaf]] = {}
        for param in [*model.parameters(), *learned]:
            if param in split and param not in owners:
                leaves[param] = [
                    Leaf.make(param, start, stop, frozenset(tasks[t] for t in held))
                    for start, stop, held in spans(len(param), mask)
                ]
            else:
                size = len(param) if param.ndim else 0
                holders = frozenset(owners.get(param, every))
                leaves[param] = [Leaf.make(param, 0, size, holders)]
        return leaves

    def _split_parameters(self, backbone: nn.Module, num_tasks: int) -> list[nn.Parameter]:
        """Parameters of the convolutions (and norms) in the modules named in the config."""
        names = [name for name, _ in backbone.named_modules() if name]
        found: dict[str, nn.Module] = {}
        for pattern in self.modules:
            roots = [n for n in names if fnmatch.fnmatchcase(n, pattern)]
            if not roots:
                top = [name for name, _ in backbone.named_children()]
                raise ValueError(
                    f"optim_wrapper.modules: '{pattern}' matches no module of the "
                    f'{type(backbone).__name__}, whose modules are {top} and what they contain'
                )
            inside = {
                name: module
                for name, module in backbone.named_modules()
                if any(name == root or name.startswith(root + '.') for root in roots)
            }
            if not any(self._splits(module) for module in inside.values()):
                raise ValueError(
                    f"optim_wrapper.modules: '{pattern}' holds no convolution to split"
                )
            found.update(inside)
        params: dict[nn.Parameter, None] = {}  # in order, as DropGrad draws for them
        for name, module in found.items():
            if not (self._splits(module) or (self.split_norm and isinstance(module, NORMS))):
                continue
            own = list(module.parameters(recurse=False))
            if any(len(param) < num_tasks for param in own):
                raise ValueError(
                    f"optim_wrapper.modules: '{name}' has {len(own[0])} filters, fewer than the "
                    f'{num_tasks} tasks; leave it out'
                )
            params.update(dict.fromkeys(own))
        return list(params)

    @staticmethod
    def _splits(module: nn.Module) -> bool:
        # A transposed convolution has its output channels in the second dimension.
        return isinstance(module, _ConvNd) and not isinstance(module, _ConvTransposeNd)


def _held_by(
    tasks: Sequence[str], groups: Sequence[Group], leaves_of: dict[nn.Parameter, list[Leaf]]
) -> list[Group]:
    """Groups of what the steps of any of these tasks may move."""
    return [
        dict(
            group,
            params=[
                leaf.param
                for leaf in leaves_of[group['params'][0]]
                if not leaf.holders.isdisjoint(tasks)
            ],
        )
        for group in groups
    ]
