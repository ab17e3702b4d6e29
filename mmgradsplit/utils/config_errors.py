"""Errors by key: what is wrong with a part of a config, said with the key of that part.

One mechanism serves every part, of whichever toolbox. What fails while a part is built or tried is
caught by :func:`at_key`, which looks into the traceback for the calls of mmengine's builders, and
finds the innermost dict they were building in the config. So an error inside the loss of a head
names ``model.tasks.pose.head.loss``, although nobody passed that key along.
"""

import re
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import nn

from .mmengine_private import is_no_samples, unknown_type
from .nearest import did_you_mean
from .signatures import parameters_of, surplus, unfit

# Names of the functions of mmengine and mmcv that build a part from its ``cfg``.
BUILDERS = re.compile(r'build_\w*(from_cfg|_layer)$')
PACKAGE = __name__.partition('.')[0]
# What a dict of a config may have beside what its class is given.
BESIDE = ('_scope_', 'convert_to_iter_based', 'priority')
OF_THE_MACHINE = (MemoryError, torch.OutOfMemoryError)
# What Python says of values that it cannot work with; their texts are no sentences.
OF_PYTHON = (AttributeError, IndexError, KeyError, NameError, TypeError, ZeroDivisionError)
BEGINS_WITH_KEY = re.compile(
    r'(model|(train|val|test)_(dataloader|evaluator|cfg)|optim_wrapper|param_scheduler|references|'
    r'(default|custom)_hooks|load_from|tasks|randomness|visualizer|auto_scale_lr|--\w)[\w.\[ :=]'
)
UNEXPECTED = re.compile(r"unexpected keyword argument '(\w+)'")
CAUGHT = re.compile(r'Caught \w+ in .*\nOriginal Traceback', re.DOTALL)


class ConfigError(ValueError):
    """What is wrong with a config: a sentence that begins with the key."""


@contextmanager
def at_key(key: str, part: Any = None) -> Iterator[None]:
    """Say of an error which key of the config it comes from.

    An error that names the key already passes as it is, and so does a lack of memory.

    Args:
        key: Config key of what is built or tried in this context.
        part: What the config has there, in which the innermost key is looked for.

    Raises:
        ConfigError: In place of any other error than one of a file.
        OSError: Of the same class, with the key in front, in place of one of a file.
    """
    try:
        yield
    except OF_THE_MACHINE:
        raise
    except Exception as error:
        if isinstance(error, ConfigError) or _named_already(error):
            raise
        where, frame = _place(error, key, part)
        text = f'{where}: {_in_words(error, where, frame)}'
        raise (type(error)(text) if isinstance(error, OSError) else ConfigError(text)) from error


@contextmanager
def at_module(model: nn.Module, name: str) -> Iterator[None]:
    """Say of an error which module of a network it comes from, as its key in the config.

    Args:
        model: The network.
        name: Name of the module that runs in this context.
    """
    try:
        yield
    except OF_THE_MACHINE:
        raise
    except Exception as error:
        names = {id(module): path for path, module in model.named_modules()}
        passed = [names.get(id(frame.f_locals.get('self')), '') for frame in _frames(error)]
        inside = next((path for path in reversed(passed) if path), name)
        with at_key(f'model.{inside}' if inside else 'model'):
            raise


def sentence(error: BaseException) -> str:
    """What an error says, without what it is wrapped in."""
    # str() of a KeyError is the repr of its message.
    text = str(error.args[0] if isinstance(error, KeyError) and error.args else error).strip()
    if CAUGHT.match(text):
        # A loader's worker passes its error on as a traceback, whose last part is the error.
        lines = text.split('\n')
        last = max(index for index, line in enumerate(lines) if line[:1] == ' ')
        text = '\n'.join(lines[last + 1 :]).partition(': ')[2]
    return text or type(error).__name__


def said(error: BaseException) -> str:
    """What an error says, as a part of a sentence: also where it says nothing by itself."""
    text = sentence(error)
    if isinstance(error, AssertionError) and text == 'AssertionError':
        place = traceback.extract_tb(error.__traceback__)[-1]
        return f'{place.line} ({"/".join(Path(place.filename).parts[-4:])})'
    # A sentence has spaces, and a word that Python did not make up.
    if isinstance(error, OF_PYTHON) and not text.startswith(type(error).__name__):
        return f'{type(error).__name__}: {text}'
    return text


def step_of_pipeline(error: BaseException, key: str) -> str:
    """Which step of a pipeline an error comes from, as ``'KEY.dataset.pipeline.2 (Resize): '``.

    Args:
        error: The error.
        key: Config key of the dataloader.
    """
    frames = _frames(error)
    inside = [frame.f_locals.get('self') for frame in frames]
    for frame in reversed(frames):
        steps = getattr(frame.f_locals.get('self'), 'transforms', None)
        step = frame.f_locals.get('t')
        if frame.f_code.co_name == '__call__' and isinstance(steps, list) and step in steps:
            # A part of the step, such as its encoder, where the error comes from that.
            parts = [name for name, of in vars(step).items() if any(of is each for each in inside)]
            path = '.'.join([f'{key}.dataset.pipeline.{steps.index(step)}', *parts[:1]])
            return f'{path} ({type(step).__name__}): '
    return ''


def _named_already(error: BaseException) -> bool:
    """Whether it is an error of mmgradsplit's that begins with a key by itself."""
    raised_in = [frame for frame, _ in traceback.walk_tb(error.__traceback__)][-1]
    text = sentence(error)
    # A loader's worker passes on the sentence of TaskDataset, but not its frame.
    ours = raised_in.f_globals.get('__name__', '').partition('.')[0] == PACKAGE
    return text.startswith("task '") or (ours and BEGINS_WITH_KEY.match(text) is not None)


def _place(error: BaseException, key: str, part: Any) -> tuple[str, FrameType | None]:
    """The innermost key of what was being built, and the frame of its builder."""
    for frame in reversed(_frames(error)):
        if not BUILDERS.match(frame.f_code.co_name):
            continue
        path = _path(part, frame.f_locals.get('cfg'))
        if path is not None:
            return '.'.join([key, *path]), frame
    return key, None


def _frames(error: BaseException) -> list[FrameType]:
    """The frames that an error passed, and before them those of the errors it was made of."""
    inner = error.__cause__ or error.__context__
    found = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return found + (_frames(inner) if inner is not None else [])


def _path(part: Any, built: Any) -> list[str] | None:
    """Where in a part of the config a dict is; it may have got further keys on the way."""
    if isinstance(part, Mapping):
        if isinstance(built, Mapping) and 'type' in part and _covers(built, part):
            return []
        items = [(str(name), value) for name, value in part.items()]
    elif isinstance(part, Sequence) and not isinstance(part, str):
        items = [(str(place), value) for place, value in enumerate(part)]
    else:
        return None
    for name, value in items:
        below = _path(value, built)
        if below is not None:
            return [name, *below]
    return None


def _covers(built: Mapping, part: Mapping) -> bool:
    try:
        return all(
            name in built and bool(built[name] == part[name]) for name in part if name not in BESIDE
        )
    except (ValueError, TypeError, RuntimeError):  # of arrays, whose comparison is no truth
        return False


def _in_words(error: BaseException, where: str, frame: FrameType | None) -> str:
    """The sentence after the key."""
    if isinstance(error, ValueError) and is_no_samples(error):
        return (
            'the data set has no samples; check its data_root, data_prefix and ann_file, and '
            'filter_cfg'
        )
    name = unknown_type(error) if isinstance(error, KeyError) else None
    if name is not None:
        return unknown_words(name)
    if frame is None:
        return said(error)
    kind, given = frame.f_locals.get('obj_cls'), frame.f_locals.get('args', {})
    if kind is None:
        return said(error)
    title = getattr(kind, '__name__', str(kind))
    unexpected = UNEXPECTED.search(sentence(error))
    known = parameters_of(kind)
    if unexpected and unexpected[1] in given:
        hint = did_you_mean(unexpected[1], [*known.named])
        return f"{title} has no '{unexpected[1]}'{hint or '; it has ' + str([*known.named])}"
    hints = [*surplus(kind, given), *unfit(kind, given)]
    text = said(error)
    text = text if text.startswith(title) else f'{title}: {text}'
    return text + ''.join(f'; {hint}' for hint in hints)


def unknown_words(name: str) -> str:
    """What to do about a type that is in none of mmgradsplit's registries."""
    return (
        f"mmgradsplit has no '{name}'; check its spelling, or say whose it is, by a prefix such as "
        f"'mmseg.' (mmpretrain, mmpose, mmdet), or by _scope_='mmseg' in the data set, which "
        f'serves its own type and those in its pipeline; a class of your own is imported by '
        f'custom_imports'
    )
