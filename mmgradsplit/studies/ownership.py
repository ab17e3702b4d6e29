"""A folder of trainings belongs to one process and to the configs that it was begun with.

May import mmengine and all of mmgradsplit.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from mmengine.config import Config

from mmgradsplit.utils import write_json


def config_content(cfg: Config) -> dict[str, Any]:
    """What decides a training but for its seed, as JSON holds it; ``seed`` is the first seed."""
    kept = {
        key: value
        for key, value in cfg.to_dict().items()
        if key not in ('work_dir', 'launcher', 'randomness')
    }
    kept['seed'] = (cfg.get('randomness') or {}).get('seed') or 0
    return json.loads(json.dumps(kept, default=str))


@contextmanager
def owned(root: Path, contents: Mapping[str, Any], key: str) -> Iterator[None]:
    """Own a folder of trainings: one process at a time, and no config under another's name.

    Args:
        root: The folder; it is made.
        contents: What decides the trainings, by name of the config; ``trainings.json`` keeps it.
        key: Option that chooses the folder, for messages.

    Raises:
        BlockingIOError: If another process works in the folder.
        ValueError: If the folder holds trainings of another config of such a name; they stay.
    """
    root.mkdir(parents=True, exist_ok=True)
    lock = FileLock(root / '.lock')
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise BlockingIOError(
            f"another process works in '{root}'; let it finish, or choose another {key}"
        ) from None
    try:
        path = root / 'trainings.json'
        earlier = json.loads(path.read_text()) if path.is_file() else {}
        for name, content in contents.items():
            differences = list(_differences(earlier.get(name, content), content))
            if differences:
                raise ValueError(
                    f"'{root}' holds trainings of '{name}' with another config, which are kept; "
                    f'choose another {key}. It differs in: {"; ".join(differences[:5])}'
                )
        write_json(path, {**earlier, **contents}, sort_keys=True)
        yield
    finally:
        lock.release()


def _differences(old: Any, new: Any, key: str = '') -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        for name in sorted({*old, *new}):
            yield from _differences(
                old.get(name, 'nothing'), new.get(name, 'nothing'), f'{key}.{name}'.lstrip('.')
            )
    elif old != new:
        yield f'{key} was {_short(old)}, is {_short(new)}'


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) < 60 else text[:57] + '...'
