"""Mixed precision where mmengine's AmpOptimWrapper does not run. May import torch and mmengine."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.optim import OptimWrapper
from torch import nn

from mmgradsplit.registry import OPTIM_WRAPPERS


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
        with super().optim_context(model), torch.autocast(device, dtype=self.dtype):
            yield
