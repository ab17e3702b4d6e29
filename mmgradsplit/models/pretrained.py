"""Pretrained weights that have to be of the network that they are for."""

from mmengine.model import PretrainedInit
from mmengine.registry import WEIGHT_INITIALIZERS
from torch import nn

from mmgradsplit.utils import read_checkpoint


@WEIGHT_INITIALIZERS.register_module(name='Pretrained', force=True)
class FittingPretrainedInit(PretrainedInit):
    """The ``Pretrained`` of mmengine, where a file of which nothing fits is an error.

    mmengine's own loads what fits by name and shape, warns of the rest, and where nothing fits the
    network stays as it is.
    """

    def __call__(self, module: nn.Module) -> None:
        """Load the weights.

        Args:
            module: What they are for.

        Raises:
            ValueError: If nothing in the file fits.
        """
        content = read_checkpoint(self.checkpoint)
        weights = content.get('state_dict', content)
        prefix = f'{self.prefix.removesuffix(".")}.' if self.prefix else ''
        own = module.state_dict()
        if own and not any(
            getattr(weights.get(prefix + name), 'shape', None) == value.shape
            for name, value in own.items()
        ):
            raise ValueError(
                f"init_cfg: nothing in '{self.checkpoint}' fits the {type(module).__name__}, which "
                f"has names such as '{prefix}{next(iter(own))}', while the file has "
                f"'{next(iter(weights), 'none')}'; set init_cfg.prefix, another checkpoint, or "
                f'init_cfg=None for random weights'
            )
        super().__call__(module)
