"""Mixed precision where mmengine's AmpOptimWrapper does not run."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.optim import OptimWrapper
from torch import nn
from torch.overrides import TorchFunctionMode

from mmgradsplit.registry import OPTIM_WRAPPERS


class FloatForNumpy(TorchFunctionMode):
    """Hands bfloat16 to NumPy, which has no such type, as float32.

    mmpose's heads compute accuracies in NumPy along with their losses.
    """

    def __torch_function__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        """Call ``func``."""
        if func is torch.Tensor.numpy and args[0].dtype is torch.bfloat16:
            args = (args[0].float(), *args[1:])
        return func(*args, **(kwargs or {}))


@OPTIM_WRAPPERS.register_module()
class AutocastOptimWrapper(OptimWrapper):
    """Autocast without loss scaling, on any device.

    bfloat16 has the exponent range of float32, so its gradients do not underflow and need no
    scaler. mmengine's ``AmpOptimWrapper`` refuses to run without a GPU.

    Args:
        dtype: Name of the autocast type, ``'bfloat16'`` or, on a GPU, ``'float16'``.
        **kwargs: Arguments of mmengine's ``OptimWrapper``.
    """

    def __init__(self, dtype: str = 'bfloat16', **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dtype = getattr(torch, dtype)

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Autocast for the forward pass of ``model``."""
        device = next(model.parameters()).device.type
        autocast = torch.autocast(device, dtype=self.dtype)
        with super().optim_context(model), autocast, FloatForNumpy():
            yield
