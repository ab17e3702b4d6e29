"""Files that appear under their name only when they are whole."""

import contextlib
import json
import os
from pathlib import Path
from typing import Any

# A run leaves its config as JSON beside its log, for who reads it without trusting it.
CONFIG_JSON = 'config.json'


def write_atomically(path: str | Path, content: bytes | memoryview) -> None:
    """Write a file beside its place, then move it there: a kill leaves the old one, or the new.

    Args:
        path: The file; its folder is made.
        content: What is written.

    Raises:
        OSError: If it cannot be written, naming the file.
    """
    target = Path(path)
    partial = target.with_name(target.name + '.tmp')
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with partial.open('wb') as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, target)
    except OSError as error:  # such as a full disk, whose error names no file
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise OSError(
            error.errno, f'{error.strerror or error}; what was there before is whole', str(target)
        ) from error


def config_name(cfg: Any) -> str | None:
    """The name of the file that a config was read from, or None where it was made otherwise."""
    return Path(cfg.filename).name if cfg.filename else None


def write_json(path: str | Path, content: Any, **options: Any) -> None:
    """Write a JSON file, indented, by :func:`write_atomically`.

    Args:
        path: The file; its folder is made.
        content: What JSON can hold.
        **options: Further arguments of ``json.dumps``.
    """
    write_atomically(path, (json.dumps(content, indent=2, **options) + '\n').encode())
