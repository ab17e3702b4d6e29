"""Builds the optimizer wrappers of this room from the config."""

import copy
import inspect
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from mmengine.model import is_model_wrapper
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from mmengine.registry import OPTIMIZERS
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from mmgradsplit.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS
from mmgradsplit.utils import at_key, unwrapped

from .weightings import Weighting, build_weighting
from .wrapper import SHARED, MultiTaskOptimWrapper

Group = dict[str, Any]


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class MultiTaskOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """Constructor of :class:`MultiTaskOptimWrapper` and of its subclasses with one optimizer.

    Args:
        optim_wrapper_cfg: Keys:

            - ``type``: the wrapper.
            - ``optimizer``: config of the optimizer.
            - ``weighting``: see :func:`~mmgradsplit.optim.weightings.build_weighting`. Uniform by
              default.
            - ``base``: config of the mmengine wrapper that does loss scaling and autocast, such as
              ``dict(type='AmpOptimWrapper')``. Default ``dict(type='OptimWrapper')``.
            - ``accumulative_counts``, ``clip_grad``: as in mmengine.
            - the wrapper's own, such as ``aggregator`` and ``on``.
        paramwise_cfg: As in mmengine's ``DefaultOptimWrapperConstructor``; learned weights of a
            weighting have names that begin with ``weighting``.

    Attributes:
        serves: The wrappers that it builds are of this class.

    Raises:
        ValueError: If a key is unknown, or a value does not fit.
    """

    serves: type[MultiTaskOptimWrapper] = MultiTaskOptimWrapper

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None) -> None:
        # A weight that two layers share is stepped once, as by mmengine without a paramwise_cfg.
        super().__init__(optim_wrapper_cfg, {'bypass_duplicate': True, **(paramwise_cfg or {})})
        cfg = self.optim_wrapper_cfg
        kind = cfg.pop('type', 'MultiTaskOptimWrapper')
        self.kind: Any = OPTIM_WRAPPERS.get(kind) if isinstance(kind, str) else kind
        self.joint_only = self.kind.why_joint_only(cfg)
        self.weighting = cfg.pop('weighting', None)
        own = inspect.signature(self.kind).parameters
        self.own = {key: cfg.pop(key) for key in list(cfg) if key in own}
        self.base = {'type': 'OptimWrapper', **cfg.pop('base', {}), **cfg}

    def __call__(self, model: nn.Module) -> MultiTaskOptimWrapper:
        """Build the wrapper for a model that computes task losses.

        Raises:
            ValueError: If the model is none, or is wrapped otherwise than by
                DistributedDataParallel.
        """
        bare = unwrapped(model)
        if not hasattr(bare, 'task_losses'):
            raise ValueError(
                f'optim_wrapper: {self.kind.__name__} makes the update of task losses, but the '
                f"model is a {type(bare).__name__}; set model.type to 'MultiTaskModel'"
            )
        if is_model_wrapper(model) and not isinstance(model, DistributedDataParallel):
            raise ValueError(
                f'optim_wrapper: {self.kind.__name__} needs whole gradients on each rank; set '
                f"model_wrapper_cfg.type to 'MultiTaskDistributedDataParallel', not "
                f"'{type(model).__name__}'"
            )
        weighting = self.build_weighting(bare)
        wrapper = self.build(bare, weighting, self.param_groups(bare, weighting))
        wrapper.joint_only = self.joint_only
        return wrapper

    def build_weighting(self, model: Any) -> Weighting:
        """The weighting, on the model's device and in its precision, but not below single."""
        weighting = build_weighting(self.weighting, list(model.tasks), model.loss_weights)
        weighting.link(model.backbone)
        weighting.network_lr = self.optimizer_cfg.get('lr')
        param = next(model.parameters())
        return weighting.to(param.device, torch.promote_types(param.dtype, torch.float32))

    def param_groups(self, model: Any, weighting: Weighting) -> list[Group]:
        """A group a parameter, with its options: the network's, then learned weights."""
        groups: list[Group] = []
        self.add_params(groups, model)
        learned: list[Group] = []
        self.add_params(learned, weighting, prefix='weighting')
        for group in learned:
            for key, value in weighting.optimizer_options.items():
                group.setdefault(key, value)
        return groups + learned

    def build(
        self, model: Any, weighting: Weighting, groups: Sequence[Group]
    ) -> MultiTaskOptimWrapper:
        """The wrapper of one optimizer for all parameters."""
        bases = {SHARED: self.build_base(groups)}
        return self.kind(bases=bases, model=model, weighting=weighting, **self.own)

    def build_base(self, groups: Iterable[Group]) -> OptimWrapper:
        """Mmengine's wrapper with an optimizer of these parameters.

        Raises:
            ValueError: If a key of ``optim_wrapper`` is unknown.
        """
        merged: dict[str, Group] = {}
        for group in groups:
            options = {key: value for key, value in group.items() if key != 'params'}
            # Parameters with the same options form one group, which the optimizer steps at once.
            key = repr(sorted(options.items()))
            merged.setdefault(key, dict(options, params=[]))['params'].extend(group['params'])
        held = [group for group in merged.values() if group['params']]
        with at_key('optim_wrapper.optimizer'):
            optimizer = OPTIMIZERS.build(dict(copy.deepcopy(self.optimizer_cfg), params=held))
        try:
            return OPTIM_WRAPPERS.build(
                copy.deepcopy(self.base), default_args=dict(optimizer=optimizer)
            )
        except TypeError as error:  # of keys that neither wrapper has
            raise ValueError(
                f'optim_wrapper: {error}. What {self.kind.__name__} does not know goes to '
                f"mmengine's {self.base['type']}; of keys that were inherited from another method, "
                f'get rid by _delete_=True, or choose the method by --method'
            ) from error
