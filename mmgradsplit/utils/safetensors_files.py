"""Checkpoints as safetensors files: weights and texts, with a checksum of both."""

import ast
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from .files import write_atomically

META, ARRAY = 'mmgradsplit', '__array__'
CHECKSUM = re.compile('[0-9a-f]{64}')


def load_safetensors(file: str | Path, map_location: Any = None) -> dict[str, Any]:
    """The weights of a file as ``state_dict``, and what else it says as ``meta``.

    Args:
        file: A ``.safetensors`` file.
        map_location: A device, or as in ``torch.load``, where all but a device means the CPU.

    Raises:
        ValueError: If it is no such file, or has changed since :func:`save_safetensors` wrote it.
    """
    device = str(map_location) if isinstance(map_location, str | torch.device) else 'cpu'
    try:
        with safe_open(file, framework='pt', device=device) as opened:
            weights = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
            texts = opened.metadata() or {}
    except SafetensorError as error:
        raise ValueError(f"'{file}' is no safetensors file, or is damaged: {error}") from error
    # Files of other programs have other texts, or none, and no checksum; as ours once had.
    for name, content in texts.items():
        given, _, text = content.rpartition('\n')
        if CHECKSUM.fullmatch(given) and (name != META or given != _checksum(weights, text)):
            raise ValueError(f"the checkpoint '{file}' is damaged: its checksum is another one")
    meta = from_text(texts[META].rpartition('\n')[2]) if META in texts else texts
    return dict(state_dict=weights, meta=meta)


def save_safetensors(state_dict: Mapping[str, Tensor], meta: Mapping[str, Any], file: Path) -> None:
    """Write weights without any object that has to be unpickled.

    Args:
        state_dict: The weights.
        meta: What :func:`load_safetensors` gives back as ``meta``: texts, numbers, arrays, and
            lists, tuples and dictionaries of them.
        file: The file.
    """
    weights = {name: value.detach().cpu().contiguous() for name, value in state_dict.items()}
    text = to_text(meta)  # without a line's end
    # One text, since safetensors writes several in an order that changes.
    content = f'{_checksum(weights, text)}\n{text}'
    write_atomically(file, save(weights, metadata={META: content}))


def _checksum(weights: Mapping[str, Tensor], text: str) -> str:
    """The SHA-256 of names, types, shapes and values of weights, and of a text."""
    found = hashlib.sha256(text.encode())
    for name in sorted(weights):
        value = weights[name].detach().cpu().contiguous()
        found.update(f'{name} {value.dtype} {list(value.shape)}'.encode())
        found.update(value.flatten().view(torch.uint8).numpy().data)
    return found.hexdigest()


def to_text(meta: Mapping[str, Any]) -> str:
    """Texts, numbers, arrays, and lists, tuples and dictionaries of them, as one text."""
    return repr(_plain(meta))


def from_text(text: str) -> dict[str, Any]:
    """What :func:`to_text` made a text of.

    Raises:
        ValueError: If it is no such text.
    """
    try:
        return _restored(ast.literal_eval(text))
    except (SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise ValueError(f'the text of a checkpoint is damaged: {error}') from error


def _plain(value: Any) -> Any:
    """A value of literals alone."""
    if isinstance(value, np.ndarray | np.generic):
        return {ARRAY: value.tolist(), 'dtype': str(value.dtype)}
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(_plain, value)) if type(value) in (list, tuple) else list(value)
    return value


def _restored(value: Any) -> Any:
    if isinstance(value, dict):
        if ARRAY in value:
            return np.array(value[ARRAY], dtype=value['dtype'])
        return {key: _restored(each) for key, each in value.items()}
    return type(value)(map(_restored, value)) if isinstance(value, list | tuple) else value
