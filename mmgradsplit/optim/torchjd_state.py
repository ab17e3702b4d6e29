"""The state of TorchJD's objects in a checkpoint.

They keep part of it in buffers that are None at first, which ``nn.Module.load_state_dict`` cannot
fill, and part of it in plain attributes.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

# What a state consists of; a solver is no part of it.
VALUES = (bool, int, float, list, tuple, np.ndarray, Tensor, type(None))


def is_stateful(module: nn.Module) -> bool:
    """Whether what an aggregator or scalarizer returns depends on earlier steps."""
    from torchjd import Stateful

    return any(isinstance(each, Stateful) for each in module.modules())


def torchjd_state(module: nn.Module) -> dict[str, Any]:
    """The state of an aggregator or a scalarizer, without its parameters.

    Returns:
        Its ``kind``, and ``values`` by module and attribute, each with whether it is elsewhere than
        on the CPU.
    """
    values = {path: _state_of(each) for path, each in module.named_modules()}
    return dict(
        kind=type(module).__name__,
        values={
            path: {name: (value, _beside(value)) for name, value in state.items()}
            for path, state in values.items()
            if state
        },
    )


def load_torchjd_state(
    module: nn.Module, state: Mapping[str, Any], like: Tensor, warm_up: Callable[[], Any], key: str
) -> None:
    """Load what :func:`torchjd_state` returned.

    Args:
        module: An aggregator or scalarizer of the same kind.
        state: The state.
        like: What was beside such a tensor on a GPU is moved to its device.
        warm_up: Calls the module once, for what it makes at its first call.
        key: Of ``optim_wrapper``, for messages.

    Raises:
        ValueError: If the state is of another kind.
    """
    if state['kind'] != type(module).__name__:
        raise ValueError(
            f"optim_wrapper.{key}: the checkpoint has the state of '{state['kind']}', another one "
            f"than '{type(module).__name__}'; resume with the one that wrote it, or start from its "
            f'weights with load_from'
        )
    if not state['values']:
        return
    learned = [param.detach().clone() for param in module.parameters()]
    warm_up()
    with torch.no_grad():
        for param, value in zip(module.parameters(), learned, strict=True):
            param.copy_(value)
    for path, values in state['values'].items():
        owner = module.get_submodule(path)
        for name, (value, beside) in values.items():
            if beside:
                value = _on(like.device, value)
            if isinstance(getattr(owner, name, None), Optimizer):
                if value is None:
                    setattr(owner, name, None)
                else:
                    getattr(owner, name).load_state_dict(value)
            else:
                setattr(owner, name, value)


def _state_of(module: nn.Module) -> dict[str, Any]:
    """What a stateful module has, without its arguments."""
    if not is_stateful(module):
        return {}
    arguments = inspect.signature(type(module)).parameters
    every = {key: value for key, value in vars(module).items() if key not in vars(nn.Module())}
    every.update((name, value) for name, value in module._buffers.items() if name not in arguments)
    return {
        key: value.state_dict() if isinstance(value, Optimizer) else value
        for key, value in every.items()
        if isinstance(value, (*VALUES, Optimizer)) and key.lstrip('_') not in arguments
    }


def _beside(value: Any) -> bool:
    """Whether a tensor, or one in a list, is elsewhere than on the CPU."""
    if isinstance(value, Tensor):
        return value.device.type != 'cpu'
    if isinstance(value, list | tuple):
        return any(_beside(each) or isinstance(each, torch.device) for each in value)
    return False


def _on(device: torch.device, value: Any) -> Any:
    """A tensor, or those of a list, on a device; a device becomes this one."""
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, torch.device):
        return device
    if isinstance(value, list | tuple):
        return type(value)(_on(device, each) for each in value)
    return value
