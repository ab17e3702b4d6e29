"""Finds the checkpoints of a working directory that a run can continue from."""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mmgradsplit.utils.checkpoint_files import read_meta, why_damaged, why_not_continue

NUMBERED = re.compile(r'(epoch|iter)_(\d+)\.pth')


class Newest(NamedTuple):
    """Where a run continues.

    Attributes:
        file: The newest whole checkpoint, or None.
        damaged: Those that would come before it, each with the reason why it will not do.
    """

    file: Path | None
    damaged: dict[Path, str]


def checkpoint_folder(cfg: Mapping[str, Any]) -> Path:
    """Where a config's runs write their checkpoints: the work dir, unless the hook has another.

    Args:
        cfg: The config, with a ``work_dir``.
    """
    hook = (cfg.get('default_hooks') or {}).get('checkpoint') or {}
    out = hook.get('out_dir')
    work_dir = Path(cfg['work_dir'])
    return Path(out, work_dir.name) if out else work_dir


def numbered_checkpoints(work_dir: str | Path) -> list[Path]:
    """Checkpoints that a run has written to continue from, whole or not, the earliest first."""
    found = [path for path in Path(work_dir).glob('*.pth') if NUMBERED.fullmatch(path.name)]
    kinds = {path.name.partition('_')[0] for path in found}
    # Numbers of epochs and of iterations do not compare; what the files say of themselves does.
    return sorted(found, key=_number if len(kinds) < 2 else _position)


def newest_checkpoint(folder: str | Path) -> Path | None:
    """The newest whole checkpoint of a working directory, or None."""
    return find_newest(folder).file


def find_newest(folder: str | Path, work_dir: str | Path | None = None) -> Newest:
    """The newest whole checkpoint of a folder, and what is damaged of those after it.

    The file ``last_checkpoint`` is only a hint at a checkpoint of another name: a run that was
    killed may have left it missing, empty, or behind the checkpoints themselves. What it says of
    the folder is of no account, since the folder may be a copy of the one that it was written in.

    Args:
        folder: Where the checkpoints are.
        work_dir: Where ``last_checkpoint`` is, if not there.
    """
    candidates = numbered_checkpoints(folder)
    hint = Path(work_dir or folder, 'last_checkpoint')
    named = hint.read_text(errors='replace').strip() if hint.is_file() else ''
    other = Path(folder, Path(named).name) if named else None
    if other is not None and other.is_file() and other not in candidates:
        candidates = sorted([*candidates, other], key=_position)
    damaged: dict[Path, str] = {}
    for path in reversed(candidates):
        reason = why_not_continue(path)
        if reason is None:
            return Newest(path, damaged)
        damaged[path] = reason
    return Newest(None, damaged)


def is_whole(path: str | Path) -> bool:
    """Whether a checkpoint was written to its end, and has not changed since."""
    return why_damaged(path) is None


def _number(path: Path) -> int:
    match = NUMBERED.fullmatch(path.name)
    return int(match[2]) if match else -1


def _position(path: Path) -> tuple[float, float, float]:
    """Iteration and epoch that a checkpoint stands at; last, where it cannot say."""
    meta = read_meta(path)
    return (meta.get('iter', math.inf), meta.get('epoch', math.inf), path.stat().st_mtime)
