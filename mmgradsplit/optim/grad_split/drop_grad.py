"""DropGrad: gradients dropped at random."""

from collections.abc import Iterable

import torch
from mmengine.dist import broadcast
from torch import nn


class DropGrad:
    """Gradient dropout with binary noise (Tseng et al. 2020), GradSplit's Table 4 and section 3.1.

    Each element of a gradient is multiplied by ``Bernoulli(1 - rate) / (1 - rate)``, so that its
    mean stays. The masks come from torch's global generator, of the first rank where there are
    several, so all ranks drop the same, and a resumed run drops what it would have dropped.

    Args:
        params: The parameters whose gradients are dropped.
        rate: ``p``, the share that is dropped, in [0, 1).

    Raises:
        ValueError: If the rate is out of range.
    """

    def __init__(self, params: Iterable[nn.Parameter], rate: float) -> None:
        if not isinstance(rate, int | float) or not 0 <= rate < 1:
            raise ValueError(f'optim_wrapper.drop_grad is a share in [0, 1), got {rate!r}')
        self.params = list(params) if rate else []
        self.rate = rate

    def __call__(self) -> None:
        """Drop from the gradients that are there, in place."""
        if not self.params:
            return
        seed = torch.randint(2**62, (1,))
        broadcast(seed)
        generator = torch.Generator(self.params[0].device).manual_seed(int(seed))
        for param in self.params:
            if param.grad is not None:
                keep = torch.empty_like(param.grad).bernoulli_(1 - self.rate, generator=generator)
                param.grad.mul_(keep).div_(1 - self.rate)
