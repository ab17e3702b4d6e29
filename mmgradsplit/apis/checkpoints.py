"""Finds the checkpoints of a working directory."""

import re
import zipfile
from pathlib import Path

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
