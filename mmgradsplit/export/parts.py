"""The parts of mmgradsplit that an exported model needs, as source beside its config.

A head such as the "Conv-FC" head of attributes is in no toolbox. Its module is written out, and
registers itself with mmengine, so that the toolbox builds it where mmgradsplit is not installed.
"""

import ast
import hashlib
import importlib
import inspect
import re
from collections.abc import Iterator, Mapping
from importlib.util import resolve_name
from pathlib import Path
from typing import Any

from mmengine import registry as mmengine_registry

from mmgradsplit.registry import DATASETS, METRICS, MODELS, TRANSFORMS
from mmgradsplit.utils import write_atomically

PREFIX = 'mmgradsplit.'
REGISTRIES = (MODELS, DATASETS, TRANSFORMS, METRICS)


def own_types(config: Any) -> Iterator[str]:
    """The names of mmgradsplit's types in a part of a config, such as ``ReIDHead``.

    Args:
        config: Whose types name the package that defines them.
    """
    if isinstance(config, Mapping):
        name = config.get('type')
        if isinstance(name, str) and name.startswith(PREFIX):
            yield name.removeprefix(PREFIX)
    parts = config.values() if isinstance(config, Mapping) else config
    if isinstance(config, Mapping | list | tuple):
        for part in parts:
            yield from own_types(part)


def renamed(config: Any) -> Any:
    """The config with mmgradsplit's types as those that the written parts register."""
    if isinstance(config, Mapping):
        return {
            key: _registered(value) if key == 'type' and isinstance(value, str) else renamed(value)
            for key, value in config.items()
        }
    if isinstance(config, list | tuple):
        return type(config)(map(renamed, config))
    return config


def _registered(name: str) -> str:
    return name.replace(PREFIX, 'mmengine.', 1) if name.startswith(PREFIX) else name


def part_sources(names: set[str]) -> dict[str, str]:
    """The modules that define types of mmgradsplit, and those that these need, first.

    Args:
        names: Of the types.

    Returns:
        The source of each by the module's name in the package that holds them.

    Raises:
        ValueError: If a part needs more of mmgradsplit than modules beside a model can carry.
    """
    sources: dict[str, str] = {}
    for name in sorted(names):
        _collect(_module_of(name), sources)
    return sources


def package_name(sources: Mapping[str, str]) -> str:
    """The name of the package of these modules.

    Python imports a name once: two models whose parts differ must not share it, and those with the
    same parts may.
    """
    digest = hashlib.sha256(repr(sorted(sources.items())).encode()).hexdigest()
    return f'mmgradsplit_parts_{digest[:8]}'


def write_parts(sources: Mapping[str, str], folder: Path) -> list[str]:
    """Write modules as a package.

    Args:
        sources: What :func:`part_sources` returned; without any, nothing is written.
        folder: Where the package goes. If it is there already, it is the same.

    Returns:
        The modules to import, in order.
    """
    package = folder / package_name(sources)
    head = '"""Parts of mmgradsplit that a model beside this folder is made of."""\n'
    for name, source in {'__init__': head, **sources}.items() if sources else ():
        write_atomically(package / f'{name}.py', source.encode())
    return [f'{package.name}.{name}' for name in sources]


def _module_of(name: str) -> str:
    for registry in REGISTRIES:
        kind = registry.module_dict.get(name)
        if kind is not None:
            return str(kind.__module__)
    raise ValueError(f"there is no part '{name}' in mmgradsplit's registries")


def _collect(module: str, sources: dict[str, str]) -> None:
    """Add the source of a module, under its last name, after that of what it needs."""
    own = module.rpartition('.')[2]
    if own in sources:
        return
    source = inspect.getsource(importlib.import_module(module))
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.ImportFrom):
            continue
        name = ('.' * node.level) + (node.module or '')
        if name == 'mmgradsplit.registry':
            missing = [
                each.name for each in node.names if not hasattr(mmengine_registry, each.name)
            ]
            if missing:
                raise ValueError(
                    f'{module} needs the registry {missing[0]}, which only mmgradsplit has'
                )
        elif name.startswith(('mmgradsplit', '.')):
            needed = resolve_name(name, module.rpartition('.')[0])
            if hasattr(importlib.import_module(needed), '__path__'):
                raise ValueError(
                    f'{module} needs {needed}, more of mmgradsplit than can be written beside a '
                    f'model'
                )
            _collect(needed, sources)
    for name in re.findall(r"'mmgradsplit\.(\w+)'", source):
        _collect(_module_of(name), sources)
    sources[own] = _rewritten(source)


def _rewritten(source: str) -> str:
    """The source with mmengine's registries, and with its neighbours in one folder."""
    source = source.replace('from mmgradsplit.registry import', 'from mmengine.registry import')
    source = re.sub(r"'mmgradsplit\.(\w+)'", r"'mmengine.\1'", source)
    source = re.sub(r'from (?:mmgradsplit|\.)[\w.]*?\.?(\w+) import', r'from .\1 import', source)
    # A second model of the same parts may be loaded beside the first.
    return source.replace('.register_module()', '.register_module(force=True)')
