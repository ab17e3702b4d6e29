"""What a run is resumed with that is not what its checkpoint was trained with."""

from collections.abc import Iterator
from typing import Any

from mmengine.config import Config

from mmgradsplit.utils import CheckpointError
from mmgradsplit.utils.checkpoint_files import read_meta
from mmgradsplit.utils.config_text import read_config_text

# What the weights of a resumed run follow from.
KEYS = ('model', 'optim_wrapper', 'param_scheduler', 'train_cfg', 'train_dataloader')
MOST = 6


def config_changes(cfg: Config, checkpoint: str) -> list[str]:
    """In a sentence, which keys differ from those in the config that a checkpoint holds.

    Args:
        cfg: The config to resume with.
        checkpoint: The file.

    Returns:
        One sentence, or none.
    """
    text = read_meta(checkpoint).get('cfg')
    if not text:
        return []
    try:
        then = read_config_text(text, checkpoint).to_dict()
    except (CheckpointError, ImportError) as error:
        return [f'Its config cannot be compared with this one: {error}.']
    now = cfg.to_dict()
    found = [line for key in KEYS for line in _changes(key, then.get(key), now.get(key))]
    if not found:
        return []
    more = f' and {len(found) - MOST} more' if len(found) > MOST else ''
    return [f'Other values than those it was trained with: {", ".join(found[:MOST])}{more}.']


def _changes(key: str, then: Any, now: Any) -> Iterator[str]:
    if isinstance(then, dict) and isinstance(now, dict):
        for name in dict.fromkeys([*then, *now]):
            yield from _changes(f'{key}.{name}', then.get(name), now.get(name))
    elif isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
        for number, (one, other) in enumerate(zip(then, now, strict=True)):
            yield from _changes(f'{key}.{number}', one, other)
    elif repr(then) != repr(now):
        yield f'{key}={_short(now)} (it was {_short(then)})'


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f'{text[:57]}...'
