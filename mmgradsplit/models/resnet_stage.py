"""A stage of a ResNet as part of a task's model."""

from collections.abc import Sequence

from mmengine.model import BaseModule
from mmpretrain.models.backbones.resnet import ResLayer, ResNet, get_expansion
from torch import Tensor

from mmgradsplit.registry import MODELS

# That of mmpretrain's ResNet.
INIT: list[dict] = [
    dict(type='Kaiming', layer=['Conv2d']),
    dict(type='Constant', val=1, layer=['_BatchNorm', 'GroupNorm']),
]


@MODELS.register_module()
class ResNetStage(BaseModule):
    """Stage of a ResNet as the neck of a task's model, behind a shared backbone that lacks it.

    Task-specific layer4, R50-L4 of GradSplit (Table 7): the shared ResNet has three stages, and the
    fourth is in each task's ``neck``.

    Args:
        depth: Of the ResNet, as in mmpretrain.
        stage: Number of the stage, 2 to 4, whose module is called as in the ResNet (``layer4``).
        stride: Of the stage's first block.
        base_channels: Of the ResNet.
        norm_cfg: Of the stage's norms.
        init_cfg: As in mmengine; a checkpoint of the whole ResNet initialises the stage.
    """

    def __init__(
        self,
        depth: int,
        stage: int = 4,
        stride: int = 2,
        base_channels: int = 64,
        norm_cfg: dict | None = None,
        init_cfg: dict | list[dict] | None = INIT,
    ) -> None:
        super().__init__(init_cfg)
        block, blocks = ResNet.arch_settings[depth]
        channels = base_channels * 2 ** (stage - 1) * get_expansion(block)
        layer = ResLayer(
            block=block,
            num_blocks=blocks[stage - 1],
            in_channels=channels // 2,
            out_channels=channels,
            stride=stride,
            norm_cfg=norm_cfg or dict(type='BN'),
        )
        self.name = f'layer{stage}'
        self.add_module(self.name, layer)

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Add the stage's features to those of the stages before.

        Args:
            features: Of each stage of the shared backbone, the last of them of shape
                [N x C/2 x H x W].

        Returns:
            ``features``, and those of this stage, shape [N x C x H/stride x W/stride].
        """
        return (*features, self.get_submodule(self.name)(features[-1]))
