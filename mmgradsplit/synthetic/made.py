"""Folders that a converter makes: whole or not there, never overwritten."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

DONE = 'dataset.json'


def make_folder(
    out: str | Path, arguments: dict[str, Any], write: Callable[[Path], dict[str, Any] | None]
) -> Path:
    """Make a data set's folder, unless it was made with the same arguments already.

    It is written beside its place and moved there when whole: a folder ``out`` is a finished one.

    Args:
        out: The folder.
        arguments: What decides its content; kept in ``dataset.json``.
        write: Writes the content into the folder that it is given; what it returns is kept in
            ``dataset.json`` as well.

    Returns:
        ``out``.

    Raises:
        FileExistsError: If ``out`` holds something else, or was made with other arguments.
    """
    out = Path(out)
    if _is_made(out, arguments):
        return out
    unfinished = out.with_name(out.name + '.unfinished')
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    content = dict(write(unfinished) or {}, arguments=arguments)
    (unfinished / DONE).write_text(json.dumps(content, indent=2) + '\n')
    if out.is_dir():
        out.rmdir()  # empty, or _is_made had raised
    unfinished.rename(out)
    return out


def _is_made(out: Path, arguments: dict[str, Any]) -> bool:
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    if not (out / DONE).is_file():
        raise FileExistsError(f'{out} exists and is no data set made here: choose another folder.')
    made_with = json.loads((out / DONE).read_text())['arguments']
    differing = sorted(k for k in {*arguments, *made_with} if made_with.get(k) != arguments.get(k))
    if differing:
        raise FileExistsError(
            f'{out} was made with another {", ".join(differing)}: remove it, or choose another '
            f'folder.'
        )
    return True
