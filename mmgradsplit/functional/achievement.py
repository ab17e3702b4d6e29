"""Task weights from the accuracies reached so far: AMTL and DTP."""

import torch
from torch import Tensor

LOWEST = 1e-4  # DTP's logarithm has no bound at an accuracy of 0


def amtl_weights(accuracies: Tensor, potentials: Tensor, focus: float = 2.0) -> Tensor:
    """Achievement-based weights (AMTL): a task that is further from its potential weighs more.

    ``w = softmax(|1 - a_t / p_t| ** focus)`` over the tasks. The absolute value is that of the
    square with ``focus=2``, and defined for a task beyond its potential with any other.

    Args:
        accuracies: shape [T], the tasks' accuracies ``a_t``, in any unit.
        potentials: shape [T], the tasks' potentials ``p_t``, in the same unit, none of them 0.
        focus: Focusing factor, 2 in the paper; 0 weighs all tasks alike.

    Returns:
        shape [T], positive weights that add up to 1.
    """
    return torch.softmax((1 - accuracies / potentials).abs() ** focus, dim=0)


def dtp_weights(accuracies: Tensor, focus: float = 0.5) -> Tensor:
    """Weights of Dynamic Task Prioritization (DTP): ``w_t = -(1 - a_t) ** focus * log(a_t)``.

    An accuracy below 0.01 percent counts as 0.01 percent, so that the weights stay finite.

    Args:
        accuracies: shape [T], the tasks' accuracies ``a_t`` as shares, from 0 to 1.
        focus: Focusing factor ``gamma``; AMTL's code recommends 0.5.

    Returns:
        shape [T], weights from 0 (a task at accuracy 1) up; they add up to nothing in particular.
    """
    shares = accuracies.clamp(min=LOWEST)
    return -((1 - shares) ** focus) * shares.log()
