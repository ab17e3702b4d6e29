"""Errors on the command line: one sentence for a person, the traceback for who looks into it."""

import logging
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

# What mmgradsplit, the toolboxes and Python raise about a file, a key or a value that was given.
USER_ERRORS = (ArithmeticError, ImportError, KeyError, OSError, TypeError, ValueError)


@contextmanager
def one_sentence(debug: bool = False) -> Iterator[None]:
    """Turn an error about what was given into one sentence on standard error, with exit code 1.

    Nothing is lost: where a run has a log file by then, the traceback goes there, and the second
    line says so. Any other error, such as a bug or a lack of memory, passes with its traceback.

    Args:
        debug: Let every error pass.

    Raises:
        SystemExit: In place of the error.
    """
    try:
        yield
    except KeyboardInterrupt:
        if debug:
            raise
        print('\nStopped.', file=sys.stderr)
        raise SystemExit(130) from None
    except USER_ERRORS as error:
        if debug:
            raise
        file = _write_to_log(traceback.format_exc())
        where = f'the traceback is in {file}' if file else '--debug shows the traceback'
        print(f'error: {_sentence(error)}\n({where})', file=sys.stderr)
        raise SystemExit(1) from None


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
