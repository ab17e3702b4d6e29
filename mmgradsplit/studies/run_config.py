"""The config that a run was begun with, as it wrote it: read, never executed."""

import ast
import json
import math
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmgradsplit.utils import CONFIG_JSON

# What float('inf') and the like are in a config that mmengine has written.
NUMBERS = {'inf': math.inf, 'nan': math.nan}


def read_config(folder: Path) -> Config:
    """The config beside a run's log.

    Runs of version 0.2.0 left Python alone, which is read as long as it is made of values, as
    mmengine writes it.

    Args:
        folder: Folder of the log.

    Raises:
        ValueError: If there is none, or it cannot be read.
    """
    file = folder / CONFIG_JSON
    if file.is_file():
        content = json.loads(file.read_text(encoding='utf-8'))
        if not isinstance(content, dict):
            raise ValueError(f"'{file}' holds no JSON object")
        return Config(content)
    python = file.with_suffix('.py')
    if not python.is_file():
        raise ValueError(f"'{file}' is missing, so it is not known what was trained")
    content = {}
    for line in ast.parse(python.read_text(encoding='utf-8')).body:
        match line:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                content[name] = _value(value, python)
            case _:
                raise _no_value(line, python)
    return Config(content)


def _value(node: ast.expr, file: Path) -> Any:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name) if name in NUMBERS:
            return NUMBERS[name]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, file)
        case ast.List(elts=parts) | ast.Tuple(elts=parts) | ast.Set(elts=parts):
            kind = dict(List=list, Tuple=tuple, Set=set)[type(node).__name__]
            return kind(_value(part, file) for part in parts)
        case ast.Dict(keys=keys, values=values) if None not in keys:
            pairs = zip(keys, values, strict=True)
            return {_value(k, file): _value(v, file) for k, v in pairs}  # type: ignore[arg-type]
        case ast.Call(func=ast.Name(id='dict'), args=[] | [ast.Dict()] as args, keywords=given):
            first = _value(args[0], file) if args else {}
            return {**first, **{each.arg: _value(each.value, file) for each in given}}
    raise _no_value(node, file)


def _no_value(node: Any, file: Path) -> ValueError:
    return ValueError(
        f"line {node.lineno} of '{file}' is not a value that a run would have written there: "
        f'{ast.unparse(node)[:60]}'
    )
