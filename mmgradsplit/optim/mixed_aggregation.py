"""Aggregators in mixed precision. May import torch and mmengine."""

from mmengine.optim import AmpOptimWrapper
from torch import Tensor

from mmgradsplit.registry import OPTIM_WRAPPERS

from .aggregation.wrapper import AggregatorOptimWrapper
from .autocast import AutocastOptimWrapper


@OPTIM_WRAPPERS.register_module()
class AmpAggregatorOptimWrapper(AggregatorOptimWrapper, AmpOptimWrapper):
    """:class:`AggregatorOptimWrapper` in mixed precision with loss scaling, on a GPU.

    The aggregator sees gradients without the loss scale, in float32.

    Args:
        **kwargs: Arguments of :class:`AggregatorOptimWrapper` and of mmengine's
            ``AmpOptimWrapper``.
    """

    def _scaled(self, loss: Tensor) -> Tensor:
        return self.loss_scaler.scale(loss)

    def _scale(self) -> float:
        return float(self.loss_scaler.get_scale())


@OPTIM_WRAPPERS.register_module()
class AutocastAggregatorOptimWrapper(AggregatorOptimWrapper, AutocastOptimWrapper):
    """:class:`AggregatorOptimWrapper` in mixed precision without loss scaling, on any device.

    Args:
        **kwargs: Arguments of :class:`AggregatorOptimWrapper` and of
            :class:`~mmgradsplit.optim.AutocastOptimWrapper`.
    """
