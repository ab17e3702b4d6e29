"""Parameters of the modules that a config names."""

import fnmatch
from collections.abc import Sequence

from torch import nn


def named_parameters(backbone: nn.Module, patterns: Sequence[str], key: str) -> list[nn.Parameter]:
    """The parameters of modules of the backbone, each once, in order.

    Args:
        backbone: The shared backbone.
        patterns: Names of modules, or patterns such as ``'layer[34]'`` and ``'*layer4'``.
        key: The config's key that names them.

    Raises:
        ValueError: If a pattern matches no module.
    """
    names = [name for name, _ in backbone.named_modules() if name]
    found: dict[nn.Parameter, None] = {}
    for pattern in patterns:
        matches = fnmatch.filter(names, pattern)
        if not matches:
            top = [name for name, _ in backbone.named_children()]
            raise ValueError(
                f"{key}: '{pattern}' matches no module of the {type(backbone).__name__}, whose "
                f'modules are {top} and what they contain'
            )
        for name in matches:
            found.update(dict.fromkeys(backbone.get_submodule(name).parameters()))
    return list(found)
