"""Packages that only an extra of mmgradsplit brings."""

from importlib import import_module
from typing import Any


def import_extra(name: str, extra: str, what: str) -> Any:
    """Import a package that may not be installed.

    Args:
        name: Its import name.
        extra: The extra of mmgradsplit that brings it.
        what: What needs it, for the message.

    Returns:
        The package.

    Raises:
        ImportError: If it is not installed.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise ImportError(
            f"{what} needs {name}, which is not installed: pip install 'mmgradsplit[{extra}]'"
        ) from None
