"""Counts the multiply-accumulates of a forward pass."""

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry
from torch.utils.hooks import RemovableHandle


class MacCounter(TorchDispatchMode):
    """While it is entered, counts the multiply-accumulates of a model by module.

    Operators are counted that torch's own flop counter knows: convolutions, also transposed, linear
    layers, matrix products and attention. It needs their shapes only, so the model may be on the
    device ``'meta'``, where nothing is computed.

    An operator counts for the module that it is called in, and for those that contain it by name;
    not for another module that happens to call it, as a task's model calls the shared backbone.

    Args:
        model: The model; all its modules get hooks, which go with the context.

    Attributes:
        uncounted: Names of the operators met that do not count.

    Example:
        >>> with torch.no_grad(), MacCounter(model) as counter:
        ...     model(images)
        >>> counter.by_module()['backbone']
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.uncounted: set[str] = set()
        self._names = {module: name for name, module in model.named_modules()}
        self._inside = ['']
        self._macs: Counter[str] = Counter()
        self._hooks: list[RemovableHandle] = []

    def by_module(self) -> dict[str, int]:
        """The counts so far by name of module; ``''`` is the whole model."""
        total: Counter[str] = Counter(dict.fromkeys(self._names.values(), 0))
        for name, macs in self._macs.items():
            parts = name.split('.') if name else []
            for depth in range(len(parts) + 1):
                total['.'.join(parts[:depth])] += macs
        return dict(total)

    def __enter__(self) -> 'MacCounter':
        for module, name in self._names.items():
            self._hooks += [
                module.register_forward_pre_hook(partial(self._enter, name)),
                module.register_forward_hook(self._leave),
            ]
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        for hook in self._hooks:
            hook.remove()
        super().__exit__(*error)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        count: Callable | None = flop_registry.get(func.overloadpacket)
        if count is None:
            self.uncounted.add(func.overloadpacket.__name__)
        else:  # which has a multiplication and an addition as two
            self._macs[self._inside[-1]] += count(*args, **kwargs, out_val=out) // 2
        return out

    def _enter(self, name: str, *_: Any) -> None:
        self._inside.append(name)

    def _leave(self, *_: Any) -> None:
        self._inside.pop()
