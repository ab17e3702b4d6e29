"""The one place through which every checkpoint is read: nothing runs, and no damage stays unseen.

A ``.pth`` file is a pickle, and unpickling can run any code. So torch's unpickler for weights reads
it, which makes nothing but tensors, containers and :func:`~.pickled_classes.pickled_classes`. Where
mmengine would unpickle whatever is left, an error says so.

Importing it makes ``CheckpointLoader.load_checkpoint``, through which mmengine and all toolboxes
read (``load_from``, ``init_cfg``, resuming, testing), read like this, too.
"""

import os
import pickle
import re
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch
from mmengine.runner import checkpoint as mmengine_checkpoint
from mmengine.runner.checkpoint import CheckpointLoader

from .pickled_classes import pickled_classes
from .safetensors_files import load_safetensors

# An environment variable, so that the processes that a command starts know it as well.
TRUST = 'MMGRADSPLIT_TRUST_CHECKPOINT'
# torch's own: whatever a caller of torch.load says, it unpickles weights alone; or the contrary.
FORCE, FORCE_NOT = 'TORCH_FORCE_WEIGHTS_ONLY_LOAD', 'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'
# How torch names a class that it refuses.
REFUSED = re.compile(r'GLOBAL (\S+)|it asks for the attribute|call reduce|create new object')


class CheckpointError(ValueError):
    """A file is no checkpoint, is damaged, or holds what would run code when it is read."""


def trust_checkpoints(trust: bool = True) -> None:
    """Let checkpoints run code, or no longer: for files from a source that you trust.

    Args:
        trust: Whether this process, and those that it starts, trust the checkpoints they read.
    """
    os.environ[TRUST] = str(int(trust))


def trusted() -> bool:
    """Whether checkpoints may run code."""
    return os.environ.get(TRUST) == '1'


def read_checkpoint(file: str | Path, map_location: Any = 'cpu') -> dict[str, Any]:
    """The content of a checkpoint.

    Args:
        file: A ``.pth`` or ``.safetensors`` file, or an address as mmengine knows them.
        map_location: As in ``torch.load``.

    Raises:
        FileNotFoundError: If there is no such file.
        OSError: If it cannot be downloaded.
        CheckpointError: If it is no checkpoint, is damaged, or would run code.
    """
    return CheckpointLoader.load_checkpoint(str(file), map_location)


def read_meta(file: str | Path) -> Mapping[str, Any]:
    """What a checkpoint file of torch's says of itself, without reading its tensors.

    Args:
        file: The file.

    Returns:
        Its ``meta``; empty where it cannot be read.
    """
    try:
        return _outline(file)['meta']
    except Exception:  # whatever unpickling raises; who reads it whole hears of it
        return {}


def why_not_continue(file: str | Path) -> str | None:
    """Why a run cannot be resumed from a file, as :func:`why_damaged`; None if it can.

    What torch cannot read, though the checksums are right, is damaged as well. A file that would
    run code is not: who reads it hears of it.

    Args:
        file: A file of torch's.
    """
    reason = why_damaged(file)
    if reason is None:
        try:
            _outline(file)
        except pickle.UnpicklingError:
            return None
        except Exception as error:  # torch's reader of archives has no error of its own
            return f'{type(error).__name__}: {str(error).partition(chr(10))[0]}'
    return reason


def _outline(file: str | Path) -> dict[str, Any]:
    """A checkpoint whose tensors are not read, but mapped."""
    with torch.serialization.safe_globals(pickled_classes()):
        return torch.load(file, map_location='cpu', weights_only=True, mmap=True)


def why_damaged(file: str | Path) -> str | None:
    """Why a checkpoint file was not written to its end, or has changed since; None if it is whole.

    A file of torch's is a zip archive with a checksum of each tensor, which torch does not look at.
    The format before torch 1.6 has no checksums.
    """
    if Path(file).suffix == '.safetensors':
        try:
            load_safetensors(file)
        except ValueError as error:
            return str(error)
        return None
    try:
        if not zipfile.is_zipfile(file):
            return 'it does not end as a checkpoint does'
        with zipfile.ZipFile(file) as archive:
            bad = archive.testzip()
    except Exception as error:  # what zipfile raises differs with what is damaged
        return f'{type(error).__name__}: {error}'
    return f"the checksum of '{bad}' is another one" if bad else None


@CheckpointLoader.register_scheme(prefixes='', force=True)
def load_local_file(filename: str, map_location: Any = None) -> Any:
    """Load a file, as mmengine's loader for files does; ``.safetensors`` files as well.

    Args:
        filename: The file.
        map_location: As in ``torch.load``.

    Raises:
        FileNotFoundError: If it is not there.
        CheckpointError: If it is damaged.
    """
    path = Path(filename).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint '{filename}'")
    if path.suffix == '.safetensors':
        return load_safetensors(path, map_location)
    reason = why_damaged(path) if _is_archive(path) else None
    if reason:
        raise CheckpointError(f"the checkpoint '{filename}' is damaged: {reason}; take another one")
    return torch.load(path, map_location=map_location, weights_only=not trusted())


def _is_archive(path: Path) -> bool:
    with path.open('rb') as file:
        return file.read(2) == b'PK'


_load_unchecked = CheckpointLoader.load_checkpoint


def _load_checked(
    cls: type, filename: str, map_location: Any = None, logger: Any = 'current'
) -> dict[str, Any]:
    """``CheckpointLoader.load_checkpoint`` whose errors are sentences, and that runs no code."""
    try:
        with _weights_alone():
            content: Any = _load_unchecked(filename, map_location, logger)
    except (URLError, ConnectionError, TimeoutError) as error:
        raise ConnectionError(
            f"'{filename}' cannot be downloaded ({error}); go online once, or give a file"
        ) from error
    except (OSError, CheckpointError, ImportError, MemoryError, torch.cuda.OutOfMemoryError):
        raise
    except Exception as error:  # whatever unpickling raises
        found = REFUSED.search(str(error))
        if found and not trusted():
            what = f' ({found[1]})' if found[1] else ''
            raise CheckpointError(
                f"the checkpoint '{filename}' holds more than weights, and could run code when it "
                f'is read{what}. If you trust who made it, read it with --trust-checkpoint, or '
                f'after mmgradsplit.apis.trust_checkpoints()'
            ) from error
        # torch puts advice around what its unpickler for weights says.
        reason = str(error).rpartition('WeightsUnpickler error: ')[2].strip().partition('\n')[0]
        raise CheckpointError(
            f"'{filename}' is no checkpoint that torch can read: {reason or 'it ends too early'}"
        ) from error
    if not isinstance(content, Mapping):
        raise CheckpointError(f"'{filename}' is no checkpoint: it holds a {type(content).__name__}")
    return content  # type: ignore[return-value]


CheckpointLoader.load_checkpoint = classmethod(_load_checked)
# mmengine's own list has Python's getattr. It is asked for by loaders of other places than files.
vars(mmengine_checkpoint)['get_torch_safe_globals'] = pickled_classes


@contextmanager
def _weights_alone() -> Iterator[None]:
    """Within this context torch unpickles weights and known classes alone, whoever calls it."""
    if trusted():
        yield
        return
    earlier = {name: os.environ.pop(name, None) for name in (FORCE, FORCE_NOT)}
    os.environ[FORCE] = '1'
    try:
        with torch.serialization.safe_globals(pickled_classes()):
            yield
    finally:
        del os.environ[FORCE]
        os.environ.update({name: value for name, value in earlier.items() if value is not None})
