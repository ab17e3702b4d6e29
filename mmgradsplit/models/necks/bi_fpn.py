"""The bi-directional feature pyramid of EfficientDet."""

from collections.abc import Sequence
from typing import Any

import torch
from mmcv.cnn import ConvModule, DepthwiseSeparableConvModule
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional

from mmgradsplit.registry import MODELS

BN = dict(type='BN')
SILU = dict(type='SiLU')


class FastNormalizedFusion(nn.Module):
    """``O = sum_i w_i / (eps + sum_j w_j) * I_i`` with learned ``w >= 0`` (EfficientDet, 3.3).

    Args:
        num_inputs: Number of feature maps that are fused.
        eps: Against a sum of 0.
    """

    def __init__(self, num_inputs: int, eps: float = 1e-4) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_inputs))
        self.eps = eps

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Fuse feature maps of one shape, [N x C x H x W] each."""
        weight = self.weight.relu()
        shares = weight / (self.eps + weight.sum())
        return (shares[:, None, None, None, None] * torch.stack(tuple(inputs))).sum(0)


class FusionNode(nn.Module):
    """Fuses feature maps, then a depthwise separable convolution with norm and activation.

    Args:
        num_inputs: Number of feature maps.
        channels: Channels of each of them, and of the output.
        norm_cfg: Norm after the convolution.
        act_cfg: Activation after the norm.
    """

    def __init__(self, num_inputs: int, channels: int, norm_cfg: dict, act_cfg: dict) -> None:
        super().__init__()
        self.fusion = FastNormalizedFusion(num_inputs)
        self.conv = DepthwiseSeparableConvModule(
            channels,
            channels,
            3,
            padding=1,
            dw_norm_cfg=None,
            dw_act_cfg=None,
            pw_norm_cfg=norm_cfg,
            pw_act_cfg=act_cfg,
        )

    def forward(self, *inputs: Tensor) -> Tensor:
        """From feature maps of shape [N x C x H x W] to one of the same shape."""
        return self.conv(self.fusion(inputs))


class BiFPNStage(nn.Module):
    """Once from the coarsest level to the finest and back (EfficientDet, Figure 2 d).

    On the way down a level is fused with the next coarser one, on the way up with the next finer
    one; a level between the two ends is fused with its input once more on the way up.

    Args:
        channels: Channels of every level.
        num_levels: Number of levels, at least 2.
        norm_cfg: Norm after each convolution.
        act_cfg: Activation after each norm.
    """

    def __init__(self, channels: int, num_levels: int, norm_cfg: dict, act_cfg: dict) -> None:
        super().__init__()

        def nodes(inputs: Sequence[int]) -> nn.ModuleList:
            return nn.ModuleList(FusionNode(i, channels, norm_cfg, act_cfg) for i in inputs)

        self.top_down = nodes([2] * (num_levels - 1))
        self.bottom_up = nodes([3] * (num_levels - 2) + [2])

    def forward(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """From all levels, finest first, [N x C x H_l x W_l], to all levels of the same shapes."""
        coarsest = len(inputs) - 1
        between = list(inputs)
        for level in reversed(range(coarsest)):
            coarser = functional.interpolate(between[level + 1], size=inputs[level].shape[2:])
            between[level] = self.top_down[level](inputs[level], coarser)
        outputs = [between[0]]
        for level in range(1, len(inputs)):
            own = [inputs[level]] if level == coarsest else [inputs[level], between[level]]
            outputs.append(self.bottom_up[level - 1](*own, halved(outputs[-1])))
        return outputs


@MODELS.register_module()
class BiFPN(BaseModule):
    """EfficientDet's feature pyramid: stages of weighted fusion down and up (its section 3).

    Each input goes through a 1x1 convolution with a norm. Levels beyond the inputs are made of the
    last one, by such a convolution, too, and max pooling. A level has half the size of the one
    before it, rounded up.

    Args:
        in_channels: Channels of each input, finest first.
        channels: Channels of every output.
        num_stages: Number of stages.
        num_outs: Number of outputs, at least one for each input, and 2.
        norm_cfg: Norm after each convolution.
        act_cfg: Activation after the norms of the fused levels.
        init_cfg: As in mmengine's ``BaseModule``.

    Raises:
        ValueError: If there are fewer outputs than inputs, or than two.

    Example:
        >>> neck = BiFPN(in_channels=[160, 1280], channels=64, num_stages=2, num_outs=3)
        >>> levels = neck((torch.rand(2, 160, 40, 40), torch.rand(2, 1280, 20, 20)))
        >>> [tuple(level.shape) for level in levels]
        [(2, 64, 40, 40), (2, 64, 20, 20), (2, 64, 10, 10)]
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int = 64,
        num_stages: int = 2,
        num_outs: int = 5,
        norm_cfg: dict = BN,
        act_cfg: dict = SILU,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        if num_outs < max(len(in_channels), 2):
            raise ValueError(
                f'neck.num_outs of a BiFPN must be at least {max(len(in_channels), 2)} for '
                f'{len(in_channels)} inputs, got {num_outs}'
            )
        self.num_more = num_outs - len(in_channels)
        ends = [*in_channels, *([in_channels[-1]] if self.num_more else [])]
        self.laterals = nn.ModuleList(
            ConvModule(end, channels, 1, norm_cfg=norm_cfg, act_cfg=None) for end in ends
        )
        self.stages = nn.Sequential(
            *(BiFPNStage(channels, num_outs, norm_cfg, act_cfg) for _ in range(num_stages))
        )

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """From the backbone's feature maps to ``num_outs`` levels, [N x channels x H_l x W_l].

        Raises:
            ValueError: If the number of feature maps is not that of ``in_channels``, or one has not
                half the size of the one before it.
        """
        sizes = [tuple(each.shape[2:]) for each in inputs]
        halves = [tuple((side + 1) // 2 for side in size) for size in sizes]
        if len(sizes) + (self.num_more > 0) != len(self.laterals) or sizes[1:] != halves[:-1]:
            raise ValueError(
                f'neck: a BiFPN of {len(self.laterals) - (self.num_more > 0)} inputs, each half as '
                f'large as the one before, got sizes {sizes}; see out_indices of the backbone'
            )
        ends = [*inputs, *([inputs[-1]] if self.num_more else [])]
        levels = [lateral(end) for lateral, end in zip(self.laterals, ends, strict=True)]
        if self.num_more:
            levels[-1] = halved(levels[-1])
        for _ in range(self.num_more - 1):
            levels.append(halved(levels[-1]))
        return tuple(self.stages(levels))


def halved(level: Tensor) -> Tensor:
    """Max pooling to half the size, rounded up: [N x C x H x W]."""
    return functional.max_pool2d(level, 3, stride=2, padding=1)
