"""Builds the optimizer wrappers that work on task gradients. May import torch and mmengine."""

from mmengine.model import is_model_wrapper
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from mmgradsplit.registry import OPTIM_WRAPPER_CONSTRUCTORS
from mmgradsplit.utils import unwrapped


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class TaskGradientOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """mmengine's constructor, for optimizer wrappers that have to know the model."""

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """Build the wrapper for a :class:`~mmgradsplit.models.MultiTaskModel`.

        Raises:
            ValueError: If the model is none, or is wrapped otherwise than by
                DistributedDataParallel.
        """
        bare = unwrapped(model)
        kind = self.optim_wrapper_cfg.get('type')
        if not all(hasattr(bare, name) for name in ('tasks', 'backbone', 'weighting')):
            raise ValueError(
                f'optim_wrapper: {kind} needs a MultiTaskModel, but the model is a '
                f'{type(bare).__name__}; set model.type'
            )
        if is_model_wrapper(model) and not isinstance(model, DistributedDataParallel):
            raise ValueError(
                f'optim_wrapper: {kind} needs whole gradients on each rank; set '
                f"model_wrapper_cfg.type to 'MMDistributedDataParallel', not "
                f"'{type(model).__name__}'"
            )
        self.optim_wrapper_cfg['model'] = bare
        return super().__call__(model)
