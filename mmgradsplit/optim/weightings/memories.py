"""What TorchJD's scalarizers remember outside parameters, in buffers. May import torch, TorchJD."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam

NONE = float('nan')


class Memory(nn.Module):
    """Buffers beside a scalarizer whose state is in plain attributes.

    They bring it into the checkpoint, in the shape of tensors of a fixed size.

    Args:
        scalarizer: The scalarizer.
        size: Number of tasks T.
    """

    def __init__(self, scalarizer: Any, size: int) -> None:
        super().__init__()
        self._of = (scalarizer,)  # in a tuple: it is another module's child
        for name, value in self.empty(size).items():
            self.register_buffer(name, value)

    @staticmethod
    def empty(size: int) -> dict[str, Tensor]:
        """The buffers before the first step, for a number of tasks."""
        raise NotImplementedError

    def keep(self) -> None:
        """Copy the scalarizer's state into the buffers."""
        raise NotImplementedError

    def recall(self) -> None:
        """Set the scalarizer's state from the buffers."""
        raise NotImplementedError

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self.recall()


class DWAMemory(Memory):
    """The losses summed up in this epoch, and the means of the last two."""

    loss_sum: Tensor
    batches: Tensor
    averages: Tensor

    @staticmethod
    def empty(size: int) -> dict[str, Tensor]:
        """Nothing summed up; NaN for a mean that there is not."""
        return dict(
            loss_sum=torch.zeros(size),
            batches=torch.zeros((), dtype=torch.long),
            averages=torch.full((2, size), NONE),
        )

    def keep(self) -> None:
        """Copy the scalarizer's state into the buffers."""
        (dwa,) = self._of
        self.batches.fill_(dwa._n_batches)
        if dwa._loss_sum is not None:
            self.loss_sum.copy_(dwa._loss_sum)
        if dwa._previous_averages:
            self.averages[-len(dwa._previous_averages) :] = torch.stack(dwa._previous_averages)

    def recall(self) -> None:
        """Set the scalarizer's state from the buffers."""
        (dwa,) = self._of
        dwa._n_batches = int(self.batches)
        dwa._loss_sum = self.loss_sum.clone() if dwa._n_batches else None
        known = ~self.averages.isnan().any(1)
        dwa._previous_averages = list(self.averages[known])


class FAMOMemory(Memory):
    """The losses before the update, and the state of the optimizer of the logits."""

    before: Tensor
    moments: Tensor
    steps: Tensor

    @staticmethod
    def empty(size: int) -> dict[str, Tensor]:
        """No step done; NaN for losses that there are not."""
        return dict(
            before=torch.full((size,), NONE),
            moments=torch.zeros(2, size),
            steps=torch.zeros(()),
        )

    def keep(self) -> None:
        """Copy the scalarizer's state into the buffers."""
        (famo,) = self._of
        if famo._prev_losses is not None:
            self.before.copy_(famo._prev_losses)
        if famo._optimizer is not None:
            state = famo._optimizer.state[famo._w]
            self.steps.copy_(state['step'])
            self.moments.copy_(torch.stack([state['exp_avg'], state['exp_avg_sq']]))

    def recall(self) -> None:
        """Set the scalarizer's state from the buffers."""
        (famo,) = self._of
        famo._prev_losses = None if self.before.isnan().any() else self.before.clone()
        famo._optimizer = None
        if self.steps:
            famo._optimizer = Adam([famo._w], lr=famo.lr, weight_decay=famo.weight_decay)
            average, square = self.moments.clone()
            famo._optimizer.state[famo._w] = dict(
                step=self.steps.cpu().clone(), exp_avg=average, exp_avg_sq=square
            )


MEMORIES: dict[str, type[Memory]] = dict(DWA=DWAMemory, FAMO=FAMOMemory)
