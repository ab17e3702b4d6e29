"""SegNet (STA, Table 1): VGG-16 as encoder, a decoder a task that undoes its poolings."""

import itertools
from typing import Any

from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.vgg import cfgs, make_layers

from mmgradsplit.registry import MODELS

# Output channels of the convolutions of VGG-16's five blocks.
BLOCKS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


@MODELS.register_module()
class SegNetEncoder(BaseModule):
    """The 13 convolutions of VGG-16 with batch normalisation, which remembers its poolings.

    Parameters have torchvision's names, so ``init_cfg=dict(type='Pretrained',
    checkpoint='torchvision://vgg16_bn')`` starts from ImageNet weights.

    Args:
        init_cfg: Initialisation, as for any mmengine module.
    """

    def __init__(self, init_cfg: dict | list[dict] | None = None) -> None:
        super().__init__(init_cfg)
        self.features = make_layers(cfgs['D'], batch_norm=True)
        for layer in self.features:
            if isinstance(layer, nn.MaxPool2d):
                layer.return_indices = True

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Encode images.

        Args:
            x: shape [N x 3 x H x W].

        Returns:
            The feature map, [N x 512 x H/32 x W/32], then where the five poolings found their
            maxima, the first pooling first.
        """
        indices = []
        for layer in self.features:
            if isinstance(layer, nn.MaxPool2d):
                x, found = layer(x)
                indices.append(found)
            else:
                x = layer(x)
        return x, *indices


@MODELS.register_module()
class SegNetHead(BaseDecodeHead):
    """SegNet's decoder: unpooling to where the maxima were, convolutions, block by block.

    Args:
        in_channels: Channels of the encoder's feature map.
        channels: Channels of the last block.
        **kwargs: The other arguments of mmseg's ``BaseDecodeHead``.
    """

    def __init__(self, in_channels: int = 512, channels: int = 64, **kwargs: Any) -> None:
        super().__init__(in_channels=in_channels, channels=channels, **kwargs)
        # Each block as in the encoder, from back to front; its last convolution leads to the
        # channels of the block before it.
        blocks = []
        before = (channels, *(block[-1] for block in BLOCKS[:-1]))
        for block, out in zip(reversed(BLOCKS), reversed(before), strict=True):
            widths = [*block, out]
            blocks.append(
                nn.Sequential(
                    *(
                        ConvModule(a, b, 3, padding=1, norm_cfg=self.norm_cfg)
                        for a, b in itertools.pairwise(widths)
                    )
                )
            )
        self.blocks = nn.ModuleList(blocks)

    def forward(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """Scores or values, shape [N x num_classes x H x W].

        Args:
            inputs: What :class:`SegNetEncoder` returns.
        """
        x, *indices = inputs
        for number, block in zip(reversed(range(len(indices))), self.blocks, strict=True):
            found = indices[number]
            # The size before the pooling; an odd row or column at the image's border stays away.
            size = indices[number - 1].shape[2:] if number else [2 * s for s in found.shape[2:]]
            x = block(functional.max_unpool2d(x, found, (2, 2), output_size=list(size)))
        return self.cls_seg(x)
