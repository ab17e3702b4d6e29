"""The config that a checkpoint holds, read without running it."""

import ast
import math
from typing import Any

from mmengine.config import Config
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.registry import MODELS
from mmengine.utils import get_object_from_string, import_modules_from_strings

from .checkpoint_files import CheckpointError, trusted

NUMBERS = {'inf': math.inf, 'nan': math.nan}


def read_config_text(text: str, file: Any) -> Config:
    """The config that mmengine wrote into a checkpoint, ``cfg.pretty_text``.

    A config file is a program. What mmengine writes is values alone, so values are what is read.
    And a ``type`` may be the name of anything that Python can import, so it has to be in a toolbox.

    Args:
        text: The text.
        file: Where it is from, for the message of an error.

    Raises:
        CheckpointError: If there is more in it than values, or another type; not where the
            checkpoints are trusted.
    """
    if trusted():
        return Config.fromstring(text, '.py')
    try:
        values = {}
        for line in ast.parse(text).body:
            if not isinstance(line, ast.Assign) or not isinstance(line.targets[0], ast.Name):
                raise ValueError(f'line {line.lineno} is no assignment')
            values[line.targets[0].id] = _value(line.value)
        cfg = Config(values)
        if 'custom_imports' in cfg:
            import_modules_from_strings(**cfg.custom_imports)
        _check_types(values)
    except (SyntaxError, TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"the config in '{file}' is not one that mmengine has written, and would run code: "
            f'{error}. Give the config, too; or --trust-checkpoint, if you trust who made it'
        ) from error
    return cfg


def _value(node: ast.expr) -> Any:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.List(elts=parts):
            return [_value(part) for part in parts]
        case ast.Tuple(elts=parts):
            return tuple(_value(part) for part in parts)
        case ast.Set(elts=parts):
            return {_value(part) for part in parts}
        case ast.Dict(keys=keys, values=parts) if None not in keys:
            pairs = zip(keys, parts, strict=True)
            return {_value(key): _value(part) for key, part in pairs}  # type: ignore[arg-type]
        case ast.Call(func=ast.Name(id='dict'), args=parts, keywords=words):
            merged: dict[Any, Any] = {}
            for part in parts:
                merged.update(_value(part))
            for word in words:
                merged.update({word.arg: _value(word.value)} if word.arg else _value(word.value))
            return merged
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand)
        case ast.Name(id=name) if name in NUMBERS:
            return NUMBERS[name]
    raise ValueError(f"line {node.lineno} has '{ast.unparse(node)[:60]}'")


def _check_types(value: Any) -> None:
    """Refuse types that are not of a toolbox, nor of a scope that a module has registered."""
    if isinstance(value, dict):
        kind = value.get('type')
        if isinstance(kind, str) and '.' in kind and not _is_of_toolbox(kind):
            raise ValueError(f"type='{kind}' is of no toolbox")
        for each in value.values():
            _check_types(each)
    elif isinstance(value, list | tuple):
        for each in value:
            _check_types(each)


def _is_of_toolbox(kind: str) -> bool:
    packages = {'mmengine', 'torch', 'torchjd', *MODULE2PACKAGE, *MODELS.children}
    if kind.partition('.')[0] not in packages:
        return False
    found = get_object_from_string(kind)  # None where it is a name of the toolbox's registry
    return found is None or (
        isinstance(found, type) and found.__module__.partition('.')[0] in packages
    )
