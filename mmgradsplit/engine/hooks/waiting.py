"""Gradients that wait for an update under accumulation, for the checkpoint."""

from typing import Any

from mmengine.dist import all_gather_object, get_rank, get_world_size
from mmengine.runner import Runner
from mmengine.utils import apply_to
from torch import Tensor

from mmgradsplit.utils import unwrapped

KEY = 'waiting'


def waiting_gradients(runner: Runner) -> list[dict[str, Any]]:
    """What each rank has summed up since the last update; all ranks have to call it.

    Args:
        runner: mmengine's runner.

    Returns:
        By rank; empty right after an update, as always where nothing is accumulated.
    """
    network = unwrapped(runner.model)
    names = {param: name for name, param in network.named_parameters()}
    found = dict(
        network={name: param.grad for param, name in names.items() if param.grad is not None},
        method=_of_method(runner, names),
    )
    tensors: list[Tensor] = []
    apply_to(found, lambda each: isinstance(each, Tensor), tensors.append)
    if not tensors:
        return []
    mine = apply_to(found, lambda each: isinstance(each, Tensor), lambda each: each.cpu())
    return all_gather_object(mine)


def load_waiting_gradients(runner: Runner, given: list[dict[str, Any]]) -> None:
    """Take up what :func:`waiting_gradients` returned.

    Args:
        runner: mmengine's runner.
        given: That.
    """
    if len(given) != get_world_size():
        runner.logger.warning(
            f'The checkpoint is from the middle of an accumulation (accumulative_counts) on '
            f'{len(given)} processes. On {get_world_size()}, it begins anew with the next batch.'
        )
        return
    mine = given[get_rank()]
    params = dict(unwrapped(runner.model).named_parameters())
    for name, grad in mine['network'].items():
        params[name].grad = grad.to(params[name])
    if mine['method']:
        runner.optim_wrapper.load_waiting(mine['method'], params)


def _of_method(runner: Runner, names: dict[Any, str]) -> dict[str, Any]:
    wrapper: Any = runner.optim_wrapper  # mmengine's own have nothing beside grad
    return wrapper.waiting(names) if hasattr(wrapper, 'waiting') else {}
