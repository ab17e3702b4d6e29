"""Batches in one piece: packed where they are loaded, moved by one copy, used as views."""

import copy
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import get_worker_info

# Every tensor begins at a multiple of so many bytes, as if it had been allocated by itself.
ALIGNMENT = 512


class Place(NamedTuple):
    """Where a tensor of a batch lies in the batch's buffer.

    Attributes:
        start: Its first byte.
        dtype: Its type.
        shape: Its shape.
    """

    start: int
    dtype: torch.dtype
    shape: torch.Size

    @property
    def stop(self) -> int:
        """The byte after its last."""
        return self.start + self.shape.numel() * self.dtype.itemsize

    def view(self, buffer: Tensor) -> Tensor:
        """The tensor itself, a view of the buffer (shape [number of bytes], uint8)."""
        return buffer[self.start : self.stop].view(self.dtype).view(self.shape)


class PackedBatch:
    """A batch whose tensors lie in one buffer.

    Whatever is in a batch besides tensors of the CPU stays as it is.

    Args:
        content: The batch, with a :class:`Place` for each tensor.
        buffer: shape [number of bytes], uint8.
    """

    def __init__(self, content: Any, buffer: Tensor) -> None:
        self.content = content
        self.buffer = buffer

    @classmethod
    def of(cls, batch: Any) -> 'PackedBatch':
        """Pack a batch: mappings, sequences and data samples of any toolbox, nested at will.

        In a loader's worker the buffer is in shared memory, through which the batch goes to the
        main process: one piece, where each of its tensors would be one.
        """
        places: dict[int, tuple[Tensor, Place]] = {}
        size = 0

        def place(tensor: Tensor) -> Place:
            nonlocal size
            if id(tensor) not in places:
                start = -(-size // ALIGNMENT) * ALIGNMENT
                places[id(tensor)] = tensor, Place(start, tensor.dtype, tensor.shape)
                size = places[id(tensor)][1].stop
            return places[id(tensor)][1]

        content = _exchanged(batch, _is_packed, place)
        buffer = torch.empty(size, dtype=torch.uint8)
        if get_worker_info() is not None:
            buffer.share_memory_()
        for tensor, where in places.values():
            where.view(buffer).copy_(tensor)
        return cls(content, buffer)

    def pin_memory(self) -> 'PackedBatch':
        """In memory from which a GPU copies by itself; a ``DataLoader`` calls it."""
        return PackedBatch(self.content, self.buffer.pin_memory())

    def unpack(self, buffer: Tensor | None = None) -> Any:
        """The batch as it was, of tensors that are views.

        Args:
            buffer: A copy of the buffer, such as one on another device; by default the buffer.
        """
        source = self.buffer if buffer is None else buffer
        return _exchanged(
            self.content, lambda part: isinstance(part, Place), lambda place: place.view(source)
        )


class PackingCollate:
    """A collate function that packs what another one returns.

    Args:
        collate: The other one.
    """

    def __init__(self, collate: Callable[[list], Any]) -> None:
        self.collate = collate

    def __call__(self, samples: list) -> PackedBatch:
        """A packed batch of these samples."""
        return PackedBatch.of(self.collate(samples))


def tensors_of(batch: Any) -> list[Tensor]:
    """The tensors of a batch, or of its data samples."""
    found: list[Tensor] = []

    def note(tensor: Tensor) -> Tensor:
        found.append(tensor)
        return tensor

    _exchanged(batch, lambda part: isinstance(part, Tensor), note)
    return found


def _is_packed(part: Any) -> bool:
    return (
        type(part) is Tensor
        and part.layout is torch.strided
        and part.device.type == 'cpu'
        and not part.requires_grad
    )


def _exchanged(value: Any, chosen: Callable[[Any], bool], exchange: Callable[[Any], Any]) -> Any:
    """A copy of a batch with other leaves; what holds them is copied, and nothing else."""
    if chosen(value):
        return exchange(value)

    def inside(part: Any) -> Any:
        return _exchanged(part, chosen, exchange)

    if isinstance(value, Mapping):
        return type(value)({key: inside(part) for key, part in value.items()})  # type: ignore[call-arg]
    if isinstance(value, tuple) and hasattr(value, '_fields'):
        return type(value)(*map(inside, value))
    if isinstance(value, list | tuple):
        return type(value)(map(inside, value))
    if hasattr(value, 'to') and hasattr(value, '__dict__') and not isinstance(value, Tensor):
        # What a preprocessor would move by its method `to`: data samples, instances, boxes. Their
        # meta information stays behind, as it does there.
        left = getattr(value, '_metainfo_fields', ())
        other = copy.copy(value)
        for key, part in vars(value).items():
            if isinstance(part, set):
                vars(other)[key] = set(part)  # the names of their fields
            elif key not in left:
                vars(other)[key] = inside(part)
        return other
    return value
