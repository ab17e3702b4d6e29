"""The layers of a network that have weights to train."""

from typing import Any

from torch import nn


def weighted_layers(module: nn.Module) -> dict[str, Any]:
    """Layers with a matrix or a kernel of weights to train, in the order of their registration.

    Args:
        module: A network.

    Returns:
        The layers by name. The last one is the network's last layer, as far as the order tells.
    """
    return {
        name: layer
        for name, layer in module.named_modules()
        if isinstance(getattr(layer, 'weight', None), nn.Parameter)
        and layer.weight.ndim > 1
        and layer.weight.requires_grad
    }
