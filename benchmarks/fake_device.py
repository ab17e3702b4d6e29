"""A device that is none: it computes on the CPU, and counts what is a copy or a wait on a GPU.

On a machine without a GPU, the device type ``fake`` behaves like one: tensors have to be moved to
it and cannot be read or mixed with others without a copy. What would make a program wait for a GPU
is noted with its place in the program: a number that is read, a copy to the CPU, a copy from the
CPU that is blocking, and an operation whose result has a size that depends on the values.

It registers itself with torch for the whole process, when this module is imported, and is used
within :class:`InUse`.
"""

import sys
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten
from torch.utils.backend_registration import (
    _DummyBackendModule,
    _setup_privateuseone_for_python_backend,
)


class _Module(_DummyBackendModule):
    """What torch asks of a device's module."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16, torch.float16]


NAME = 'fake'
_setup_privateuseone_for_python_backend(NAME, _Module())
DEVICE = torch.device(NAME, 0)
aten = torch.ops.aten
# Their results have a size that depends on the values.
SIZED = ('nonzero', 'nonzero_numpy', 'masked_select', '_unique2', 'unique_dim')
READS = ('_local_scalar_dense', 'equal', 'is_nonzero')


class Counts:
    """What has been counted.

    Attributes:
        waits: Number of waits by operation and place.
        copies: Number of copies between the CPU and the device by direction.
        launches: Number of operations on the device that are no views.
    """

    def __init__(self) -> None:
        self.waits: Counter[str] = Counter()
        self.copies: Counter[str] = Counter()
        self.launches = 0


_counts: list[Counts] = []


@contextmanager
def counting() -> Any:
    """Within this context, count; gives the :class:`Counts`."""
    counts = Counts()
    _counts.append(counts)
    try:
        yield counts
    finally:
        _counts.remove(counts)


class FakeTensor(Tensor):
    """A tensor on the device; ``raw`` is where its values are."""

    raw: Tensor

    @staticmethod
    def __new__(cls, raw: Tensor) -> 'FakeTensor':
        """Put a tensor of the CPU on the device, without a copy."""
        made = Tensor._make_wrapper_subclass(
            cls,
            raw.size(),
            strides=raw.stride(),
            storage_offset=raw.storage_offset(),
            dtype=raw.dtype,
            layout=raw.layout,
            device=DEVICE,
        )
        made.raw = raw
        return made

    @classmethod
    def __torch_function__(
        cls, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        """Call ``func``; an index that is a list travels to the device each time."""
        if func in (Tensor.__getitem__, Tensor.__setitem__):
            index = args[1] if isinstance(args[1], tuple) else (args[1],)
            if any(isinstance(part, list | range) for part in index):
                there = tuple(
                    _tensor([*p], DEVICE) if isinstance(p, list | range) else p for p in index
                )
                args = (args[0], there, *args[2:])
        if func is Tensor.tolist:
            return args[0].cpu().tolist()
        if func is Tensor.numpy:
            raise TypeError(f'cannot read a tensor of the device {DEVICE}; copy it to the CPU')
        if func is Tensor.new_tensor:
            options = {'dtype': args[0].dtype, 'device': args[0].device, **(kwargs or {})}
            return _tensor(*args[1:], **options)
        with torch._C.DisableTorchFunctionSubclass():
            return func(*args, **(kwargs or {}))

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        """Compute on the CPU."""
        return _compute(func, args, kwargs or {})


def _compute(func: Any, args: tuple, kwargs: dict) -> Any:
    flat, spec = tree_flatten((args, kwargs))
    given = [part for part in flat if isinstance(part, FakeTensor)]
    to = kwargs.get('device')
    there = bool(given) if to is None else torch.device(to).type == NAME
    _count(func, flat, given, there, kwargs)
    raw_args, raw_kwargs = tree_unflatten([getattr(p, 'raw', p) for p in flat], spec)
    if to is not None:
        raw_kwargs['device'] = torch.device('cpu')
    raw_kwargs.pop('pin_memory', None)
    result = func(*raw_args, **raw_kwargs)
    if func._schema.name in ('aten::_to_copy', 'aten::copy_') and result is not raw_args[0]:
        # A move is a copy, though both sides are on the CPU.
        storages = {part.raw.untyped_storage().data_ptr() for part in given}
        storages |= {p.untyped_storage().data_ptr() for p in flat if type(p) is Tensor}
        if result.untyped_storage().data_ptr() in storages:
            result = result.clone()
    known = {id(part.raw): part for part in given}

    def wrap(part: Any) -> Any:
        if not isinstance(part, Tensor) or isinstance(part, FakeTensor):
            return part
        if id(part) in known:
            return known[id(part)]  # changed in place
        if any(part is one for one in flat):
            return part
        return FakeTensor(part) if there else part

    return tree_map(wrap, result)


def _count(func: Any, flat: list, given: list, there: bool, kwargs: dict) -> None:
    if not _counts:
        return
    name = func._schema.name.removeprefix('aten::')
    tensors = [part for part in flat if isinstance(part, Tensor)]
    host = [part for part in tensors if not isinstance(part, FakeTensor)]
    quick = bool(kwargs.get('non_blocking')) or (name == 'copy_' and True in flat[2:])
    waits = False
    if name in ('_to_copy', 'copy_') and (host or not there) and tensors:
        if name == 'copy_':
            down = bool(given) and not isinstance(flat[0], FakeTensor)
        else:
            down = bool(given) and not there
        up = not down and bool(host or not given) and there
        if down or up:
            for counts in _counts:
                counts.copies['to the CPU' if down else 'to the device'] += 1
            waits = down or not quick
    elif given and name in (*READS, *SIZED):
        waits = True
    elif given and name in ('index', 'index_put', 'index_put_', '_index_put_impl_'):
        masks = [p for p in tensors[1:] if p.dtype in (torch.bool, torch.uint8)]
        waits = bool(masks)
        host = [part for part in host if part.ndim]
        waits |= bool(host)
        for counts in _counts:
            counts.copies['to the device'] += len(host)
    if waits:
        place = _place()
        for counts in _counts:
            counts.waits[f'{name} in {place}'] += 1
    if given and not func.is_view:
        for counts in _counts:
            counts.launches += 1


def _place() -> str:
    """The innermost place in the program that is not torch's, nor passes an operation on."""
    frame: Any = sys._getframe(1)
    while frame is not None:
        file, name = frame.f_code.co_filename, frame.f_code.co_name
        passes_on = name == '__torch_function__' or file.endswith('fake_device.py')
        if '/torch/' not in file and not passes_on:
            return f'{"/".join(file.split("/")[-3:])}:{frame.f_lineno}'
        frame = frame.f_back
    return 'torch'


class InUse(TorchFunctionMode):
    """Within this context a program may use the device.

    ``torch.tensor`` alone cannot make a tensor on a device that is written in Python.
    """

    def __torch_function__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        """Call ``func``."""
        options = dict(kwargs or {})
        if func is torch.tensor and torch.device(options.get('device') or 'cpu').type == NAME:
            return _tensor(*args, **options)
        return func(*args, **options)


def _tensor(data: Any, device: Any, requires_grad: bool = False, **options: Any) -> Tensor:
    return torch.tensor(data, **options).to(device).requires_grad_(requires_grad)


_library = torch.library.Library('_', 'IMPL')
_library.fallback(
    lambda func, *args, **kwargs: _compute(func, args, kwargs), dispatch_key='PrivateUse1'
)
