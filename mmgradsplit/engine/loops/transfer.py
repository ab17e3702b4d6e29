"""Batches on their way to the device of the model."""

from typing import Any

import torch

from .packing import PackedBatch


class Transfer:
    """Moves packed batches to a device, each by one copy that nothing waits for.

    On a GPU the copies have a stream of their own, so that a batch travels while the one before it
    is computed. On the CPU there is nothing to move.

    Args:
        device: Where the model is.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._stream = torch.cuda.Stream(device) if device.type == 'cuda' else None

    @property
    def moves(self) -> bool:
        """Whether batches have to be moved."""
        return self.device.type != 'cpu'

    def send(self, batch: Any) -> Any:
        """Begin to move a batch, if it is packed; it may be used after :meth:`arrive`.

        Args:
            batch: A batch of the dataloader.

        Returns:
            The batch, on the device.
        """
        if not isinstance(batch, PackedBatch):
            return batch
        if not self.moves:
            return batch.unpack()
        with torch.cuda.stream(self._stream):  # does nothing without one
            buffer = batch.buffer.to(self.device, non_blocking=True)
        if self._stream is not None:
            # The memory must not serve another copy before the steps are done with it.
            buffer.record_stream(torch.cuda.current_stream(self.device))
        return batch.unpack(buffer)

    def arrive(self) -> None:
        """Let the work that follows on the device come after what was sent."""
        if self._stream is not None:
            torch.cuda.current_stream(self.device).wait_stream(self._stream)
