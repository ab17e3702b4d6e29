"""Files that appear under their name only when they are whole."""

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
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + '.tmp')
    with partial.open('wb') as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, target)


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
