"""Finds the checkpoints of a working directory, and reads and writes safetensors."""

import ast
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.runner.checkpoint import CheckpointLoader, load_from_local
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from mmgradsplit.utils import write_atomically

NUMBERED = re.compile(r'(?:epoch|iter)_(\d+)\.pth')


def numbered_checkpoints(work_dir: str | Path) -> list[Path]:
    """Checkpoints that a run has written to continue from, whole or not, the earliest first."""
    found = [path for path in Path(work_dir).glob('*.pth') if NUMBERED.fullmatch(path.name)]
    return sorted(found, key=_position)


def newest_checkpoint(work_dir: str | Path) -> Path | None:
    """The newest whole checkpoint of a working directory, or None.

    The file ``last_checkpoint`` is only a hint: a run that was killed may have left it missing,
    empty, or behind the checkpoints themselves.
    """
    candidates = numbered_checkpoints(work_dir)
    hint = Path(work_dir, 'last_checkpoint')
    if hint.is_file():
        named = hint.read_text().strip()
        # A checkpoint with another name, or in another folder.
        candidates += [Path(named)] if named else []
    whole = [path for path in candidates if is_whole(path)]
    return max(whole, key=_position, default=None)


def is_whole(path: str | Path) -> bool:
    """Whether a checkpoint was written to its end, where the index of its zip format is."""
    return zipfile.is_zipfile(path)


def _position(path: Path) -> tuple[int, float]:
    match = NUMBERED.fullmatch(path.name)
    return (int(match[1]) if match else -1, path.stat().st_mtime)


# ---- safetensors ----


@CheckpointLoader.register_scheme(prefixes='', force=True)
def load_local_file(filename: str, map_location: Any = None) -> Any:
    """Load a file as mmengine does, and ``.safetensors`` files as well.

    So every way to load weights knows them: ``load_from``, ``init_cfg``, testing, export.

    Args:
        filename: The file.
        map_location: As in ``torch.load``.

    Raises:
        FileNotFoundError: If it is not there.
    """
    path = Path(filename).expanduser()
    if path.suffix != '.safetensors':
        return load_from_local(filename, map_location)
    if not path.is_file():
        raise FileNotFoundError(f"no file '{filename}'")
    device = str(map_location) if isinstance(map_location, str | torch.device) else 'cpu'
    with safe_open(path, framework='pt', device=device) as file:
        state_dict = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        texts = file.metadata() or {}
    # Files of other programs have other texts, or none.
    meta = from_text(texts[META]) if META in texts else texts
    return dict(state_dict=state_dict, meta=meta)


def save_safetensors(state_dict: Mapping[str, Tensor], meta: Mapping[str, Any], file: Path) -> None:
    """Write weights without any object that has to be unpickled.

    Args:
        state_dict: The weights.
        meta: What :func:`load_local_file` gives back as ``meta``: texts, numbers, arrays, and
            lists, tuples and dictionaries of them.
        file: The file.
    """
    weights = {name: value.detach().cpu().contiguous() for name, value in state_dict.items()}
    # One text, since safetensors writes several in an order that changes.
    write_atomically(file, save(weights, metadata={META: to_text(meta)}))


META, ARRAY = 'mmgradsplit', '__array__'


def to_text(meta: Mapping[str, Any]) -> str:
    """Texts, numbers, arrays, and lists, tuples and dictionaries of them, as one text."""
    return repr(_plain(meta))


def from_text(text: str) -> dict[str, Any]:
    """What :func:`to_text` made a text of."""
    return _restored(ast.literal_eval(text))


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
