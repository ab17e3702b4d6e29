"""Errors on the command line: one sentence for a person, the traceback for who looks into it."""

import logging
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress

# What mmgradsplit, the toolboxes and Python raise about a file, a key or a value that was given.
USER_ERRORS = (ArithmeticError, ImportError, KeyError, OSError, TypeError, ValueError)


# What gloo, NCCL and torch say where another process does not answer any more.
LOST = (
    'Connection closed by peer',
    'Connection reset by peer',
    'Broken pipe',
    'remote process',
    'Timed out waiting',
)


@contextmanager
def one_sentence(debug: bool = False) -> Iterator[None]:
    """Turn an error about what was given into one sentence on standard error, with exit code 1.

    Nothing is lost: where a run has a log file by then, the traceback goes there, and the second
    line says so. Any other error, such as a bug or a lack of memory, passes with its traceback.

    Of several processes each says which one it is, and one that ends because another has ended
    says that alone.

    Args:
        debug: Let every error pass.

    Raises:
        SystemExit: In place of the error.
    """
    try:
        yield
    except KeyboardInterrupt as stopped:
        if debug:
            raise
        rank = _rank()
        if rank is not None:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # torchrun sends it once more
        if not rank:
            print(f'\nStopped. {stopped}'.rstrip(), file=sys.stderr)
        raise SystemExit(130) from None
    except Exception as error:
        rank = _rank()
        lost = rank is not None and any(text in str(error) for text in LOST)
        if rank is not None and not lost:
            _record(error)
        if debug or not (lost or isinstance(error, USER_ERRORS)):
            raise
        file = _write_to_log(traceback.format_exc())
        where = f'the traceback is in {file}' if file else '--debug shows the traceback'
        if lost:
            print(f'rank {rank} ends, as another process has ended ({where})', file=sys.stderr)
        else:
            name = 'error' if rank is None else f'error (rank {rank})'
            print(f'{name}: {_sentence(error)}\n({where})', file=sys.stderr)
        raise SystemExit(1) from None


def _rank() -> int | None:
    """The number of this process among several, or None."""
    several = int(os.environ.get('WORLD_SIZE', 1)) > 1
    return int(os.environ.get('RANK', 0)) if several else None


def _record(error: Exception) -> None:
    """Leave an error where torchrun looks for it, and so knows which process was the first."""
    from torch.distributed.elastic.multiprocessing.errors import record

    def fail() -> None:
        raise RuntimeError(f'{type(error).__name__}: {_sentence(error)}')

    with suppress(RuntimeError):
        record(fail)()


def _sentence(error: Exception) -> str:
    """What an error says, without what it is wrapped in."""
    # Importing it imports torch; what fails before that is not wrapped in anything.
    errors = sys.modules.get('mmgradsplit.utils.config_errors')
    return errors.sentence(error) if errors else str(error) or type(error).__name__


def _write_to_log(text: str) -> str | None:
    """Write a text to the log file of this process's run, where there is one; return its name."""
    logging_of_runs = sys.modules.get('mmengine.logging')
    if logging_of_runs is None:
        return None
    for handler in logging_of_runs.MMLogger.get_current_instance().handlers:
        if isinstance(handler, logging.FileHandler):
            handler.handle(logging.LogRecord('error', logging.ERROR, '', 0, text, None, None))
            return handler.baseFilename
    return None
