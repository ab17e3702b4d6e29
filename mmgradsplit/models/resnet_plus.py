"""ResNet with more convolutions in its last stage."""

from typing import Any

from mmcv.cnn import ConvModule
from mmengine.model import constant_init, kaiming_init
from mmpretrain.models.backbones.resnet import Bottleneck, ResNet
from torch import nn

from mmgradsplit.registry import MODELS

ADDED = 3


class DoubleBottleneck(Bottleneck):
    """Bottleneck with a second 3 x 3 convolution.

    Args:
        **kwargs: Arguments of mmpretrain's ``Bottleneck``.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        width = self.mid_channels
        first = ConvModule(width, width, 3, padding=1, bias=False, norm_cfg=self.norm_cfg)
        self.conv2: nn.Module = nn.Sequential(first, self.get_submodule('conv2'))


@MODELS.register_module()
class ResNetPlus(ResNet):
    """ResNet with three more bottlenecks in its last stage, each with two 3 x 3 convolutions.

    R50-GN+ of GradSplit (Table 7) "adds more convolutions to layer4"; which, the paper does not
    say. These add 20.5M parameters to ResNet-50, as the paper's 52M and 72M ask for. The names of
    ResNet's own blocks stay, so its ImageNet weights can be loaded; the new blocks start as the
    identity.

    Args:
        **kwargs: Arguments of mmpretrain's ``ResNet``.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        channels = self.feat_dim
        self._last.extend(
            DoubleBottleneck(
                in_channels=channels,
                out_channels=channels,
                style=self.style,
                with_cp=self.with_cp,
                conv_cfg=self.conv_cfg,
                norm_cfg=self.norm_cfg,
            )
            for _ in range(ADDED)
        )
        self._freeze_stages()

    @property
    def _last(self) -> nn.Sequential:
        return getattr(self, self.res_layers[-1])

    def init_weights(self) -> None:
        """Initialise as upstream; the added blocks, which no ImageNet weights have, as identity."""
        super().init_weights()
        for block in list(self._last)[-ADDED:]:
            for module in block.modules():
                if isinstance(module, nn.Conv2d):
                    kaiming_init(module)
            constant_init(block.norm3, 0)
