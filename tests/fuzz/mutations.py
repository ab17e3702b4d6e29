"""Mistakes that are made in configs, each at one key: typos, wrong types, values out of range."""

import copy
import random
from collections.abc import Iterator
from typing import Any, NamedTuple

from mmengine.config import Config

Path = tuple[Any, ...]

# Names that are the config's own to choose, or that only a test's config has.
FREE = ('experiment_name', 'custom_imports', 'metainfo', 'work_dir', 'filename')
# What cannot be left out, wherever it is.
REQUIRED = (
    'backbone', 'batch_size', 'dataset', 'decode_head', 'decoder', 'encoder', 'head',
    'in_channels', 'input_size', 'iters_per_epoch', 'max_epochs', 'model', 'num_classes',
    'num_instances', 'optimizer', 'optim_wrapper', 'out_channels', 'relations', 'sampler',
    'scale', 'tasks', 'train_cfg', 'train_dataloader', 'type', 'val_dataloader', 'val_evaluator',
)  # fmt: skip
NAN = float('nan')
# Values that nothing can mean, by name of the key.
BAD: dict[str, tuple[Any, ...]] = {
    'accumulative_counts': (0, -1, 1.5, NAN),
    'base_channels': (0, -8),
    'batch_size': (0, -1, 2.5, NAN),
    'betas': ((2.0, 0.9),),
    'channels': (0, -4),
    'conv_channels': (0, -8),
    'depth': (0, 17, -1),
    'direction': ('sideways',),
    'drop_grad': (-0.1, 1.5, NAN),
    'dropout_ratio': (-0.5, 2.0),
    'in_channels': (0, 3, -64),
    'in_index': (7, -9),
    'iters_per_epoch': (0, -1, 2.5, NAN),
    'lr': (-0.1, NAN),
    'max_epochs': (0, -1, 1.5, NAN),
    'max_norm': (0, -35, NAN),
    'num_classes': (0, -3, 7),
    'num_groups': (0, 5),
    'num_instances': (0, 3, -2),
    'num_workers': (-1, 0.5),
    'optimizers': ('seperate',),
    'out_channels': (0, 17),
    'pool_scales': ((0, 1),),
    'prob': (-0.5, 2.0),
    'save_best': ('attribute/MAA', 'delta', 'mIoU', 'auto'),
    'seed': (-1, 1.5),
    'threshold': (NAN, -1.0, 35.0),
    'update': ('epoch',),
    'val_begin': (-1, NAN, 0.5),
    'val_interval': (0, -1, NAN, 0.5),
    'value': (0, -1.0, NAN),
    'weight_decay': (-0.1, NAN),
}
# Of another type than any value that a key takes.
WRONG = ('abc', [], {'a': 1}, -1.5, None)


class Mutation(NamedTuple):
    """A mistake at one key.

    Attributes:
        kind: What sort of mistake.
        path: Where, as keys and places in lists.
        value: What stands there now, or the new name of the key.
    """

    kind: str
    path: Path
    value: Any

    @property
    def key(self) -> str:
        """The key as it is written."""
        return '.'.join(map(str, self.path))

    def __str__(self) -> str:
        return f'{self.kind} {self.key} -> {self.value!r}'


def places(part: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every key of a config with its value, and every place of a list of dicts."""
    if isinstance(part, dict):
        for name, value in part.items():
            if name not in FREE:
                yield (*path, name), value
                yield from places(value, (*path, name))
    elif isinstance(part, list | tuple):
        for place, value in enumerate(part):
            if isinstance(value, dict | list | tuple):
                yield from places(value, (*path, place))


def mutate(cfg: Config, rng: random.Random) -> tuple[Config, Mutation]:
    """A copy of a config with one mistake in it."""
    every = list(places(cfg.to_dict()))
    kinds = ('typo', 'typo', 'type', 'type', 'range', 'removed', 'name', 'swapped', 'top')
    while True:
        kind = rng.choice(kinds)
        mutation = _draw(kind, every, rng)
        if mutation is not None:
            changed = copy.deepcopy(cfg.to_dict())
            _apply(changed, mutation)
            return Config(changed), mutation


def misspelt(word: str, rng: random.Random) -> str:
    """A word with a letter too many, too few, or two of them in the wrong order."""
    place = rng.randrange(1, max(2, len(word) - 1))
    spellings = (
        word[:place] + word[place] * 2 + word[place + 1 :] if place < len(word) else word + 'e',
        word[:place] + word[place + 1 :],
        word + 's',
    )
    found = rng.choice(spellings)
    return found if found not in (word, '') else word + 'x'


def _draw(kind: str, every: list[tuple[Path, Any]], rng: random.Random) -> Mutation | None:
    path, value = rng.choice(every)
    name = path[-1]
    if kind == 'top':
        tops = [path for path, _ in every if len(path) == 1]
        path = rng.choice(tops)
        return Mutation('typo', path, misspelt(str(path[0]), rng))
    if kind == 'typo':
        return Mutation(kind, path, misspelt(str(name), rng))
    if kind == 'type':
        # A dict, a list, a text, a number or nothing: another one of these.
        others = [each for each in WRONG if type(each) is not type(value) and each != value]
        if isinstance(value, int | float) and not isinstance(value, bool):
            others = [each for each in others if not isinstance(each, float)]
        return Mutation(kind, path, rng.choice(others))
    if kind == 'range':
        candidates = [(where, of) for where, of in every if where[-1] in BAD]
        path, value = rng.choice(candidates)
        bad = rng.choice(BAD[path[-1]])
        return None if bad == value else Mutation(kind, path, bad)
    if kind == 'removed':
        candidates = [(where, of) for where, of in every if where[-1] in REQUIRED]
        path, _ = rng.choice(candidates)
        return Mutation(kind, path, None)
    if kind == 'name':
        names = [(where, of) for where, of in every if where[-1] == 'type' and isinstance(of, str)]
        path, value = rng.choice(names)
        return Mutation(kind, path, misspelt(value, rng))
    by_task = [
        where for where, of in every
        if isinstance(of, dict) and {'pose', 'parsing'} <= {*of} and len(where) < 3
    ]  # fmt: skip
    return Mutation('swapped', rng.choice(by_task), rng.sample(['pose', 'parsing', 'reid'], 2))


def _apply(content: dict[str, Any], mutation: Mutation) -> None:
    *above, name = mutation.path
    part: Any = content
    for step in above:
        if isinstance(part[step], tuple):
            part[step] = list(part[step])
        part = part[step]
    if mutation.kind == 'typo':
        part[mutation.value] = part.pop(name)
    elif mutation.kind == 'removed':
        del part[name]
    elif mutation.kind == 'swapped':
        one, other = mutation.value
        part[name][one], part[name][other] = part[name][other], part[name][one]
    else:
        part[name] = mutation.value
