"""The state of TorchJD's aggregators in a checkpoint. May import torch and NumPy.

They keep part of it in buffers that are None at first, which ``nn.Module.load_state_dict`` cannot
fill, and part of it in plain attributes.
"""

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

# What a state consists of; a solver is no part of it.
VALUES = (bool, int, float, tuple, np.ndarray, Tensor)


def is_stateful(aggregator: nn.Module) -> bool:
    """Whether what an aggregator returns depends on the gradients of earlier steps."""
    from torchjd import Stateful

    return any(isinstance(module, Stateful) for module in aggregator.modules())


def aggregator_state(aggregator: nn.Module) -> dict[str, dict[str, Any]]:
    """The state of an aggregator.

    Returns:
        By module and attribute the value, and whether it is elsewhere than on the CPU.
    """
    states = {path: _state_of(module) for path, module in aggregator.named_modules()}
    return {
        path: {
            name: (value, isinstance(value, Tensor) and value.device.type != 'cpu')
            for name, value in state.items()
        }
        for path, state in states.items()
        if state
    }


def load_aggregator_state(
    aggregator: nn.Module, state: Mapping[str, Mapping[str, Any]], like: Tensor
) -> None:
    """Load what :func:`aggregator_state` returned.

    Args:
        aggregator: An aggregator of the same kind.
        state: The state.
        like: Any matrix, shape [T x P] for the T tasks; what was beside such a one on a GPU is
            moved to its device.

    Raises:
        ValueError: If the state is of another kind of aggregator.
    """
    if is_stateful(aggregator):
        aggregator(like)  # for what it makes at its first call
    if {path: set(values) for path, values in state.items()} != {
        path: set(values) for path, values in aggregator_state(aggregator).items()
    }:
        raise ValueError(
            f'optim_wrapper.aggregator: the checkpoint has the state of another one than '
            f'{aggregator}; resume with the one that wrote it, or start from its weights with '
            f'load_from'
        )
    for path, values in state.items():
        module = aggregator.get_submodule(path)
        for name, (value, beside) in values.items():
            if beside:
                value = value.to(like.device)
            if isinstance(value, tuple):
                value = tuple(like.device if isinstance(v, torch.device) else v for v in value)
            setattr(module, name, value)


def _state_of(module: nn.Module) -> dict[str, Any]:
    """What a stateful module has, without its arguments."""
    if not is_stateful(module):
        return {}
    arguments = inspect.signature(type(module)).parameters
    every = {key: value for key, value in vars(module).items() if key not in vars(nn.Module())}
    every.update(module.named_buffers(recurse=False))
    return {
        key: value
        for key, value in every.items()
        if isinstance(value, VALUES) and key.lstrip('_') not in arguments
    }
