"""Mixed precision where mmengine's AmpOptimWrapper does not run."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.optim import OptimWrapper
from torch import Tensor, nn

from mmgradsplit.registry import OPTIM_WRAPPERS


@contextmanager
def float_for_numpy() -> Iterator[None]:
    """Within this context, NumPy gets bfloat16, a type that it does not have, as float32.

    mmpose's heads compute accuracies in NumPy along with their losses.
    """
    whole, before = Tensor.numpy, vars(Tensor).get('numpy')

    def numpy(tensor: Tensor, **options: Any) -> Any:
        return whole(tensor.float() if tensor.dtype is torch.bfloat16 else tensor, **options)

    Tensor.numpy = numpy  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        if before is None:  # the method is one of the base class
            del Tensor.numpy
        else:
            Tensor.numpy = before  # type: ignore[method-assign]


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
        with super().optim_context(model), autocast, float_for_numpy():
            yield
