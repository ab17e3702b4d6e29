"""What is wrong with one file of a data set."""

import os
import stat

UNREADABLE, MISMATCHED, IMPLAUSIBLE = KINDS = ('unreadable', 'mismatched', 'implausible')


class SampleError(ValueError):
    """A file of a data set that cannot be read, does not fit the others, or cannot be meant so.

    Args:
        what: What is wrong with it, and how to mend it.
        file: The file.
        field: What was read from it, such as ``'gt_depth_map'``, where it is known.
        kind: ``'unreadable'``, ``'mismatched'`` or ``'implausible'``.
    """

    def __init__(
        self,
        what: str,
        file: str | None = None,
        field: str | None = None,
        kind: str = UNREADABLE,
    ) -> None:
        super().__init__(f'{file}: {what}' if file else what)
        self.what = what
        self.file = file
        self.field = field
        self.kind = kind


def check_file(path: str) -> None:
    """Refuse what is no file, before it is opened: to open a pipe waits for ever.

    Args:
        path: The file; an address of another backend is not looked at.

    Raises:
        SampleError: If it is missing, a folder, a pipe or a device, or empty.
    """
    if '://' in path:
        return
    try:
        status = os.stat(path)
    except FileNotFoundError:
        link = (
            'it is a link to a file that is not there' if os.path.islink(path) else 'no such file'
        )
        raise SampleError(link, path) from None
    except (OSError, ValueError) as error:
        raise SampleError(getattr(error, 'strerror', None) or str(error), path) from error
    if stat.S_ISDIR(status.st_mode):
        raise SampleError('it is a folder, where a file has to be', path)
    if not stat.S_ISREG(status.st_mode):
        raise SampleError('it is a pipe, a socket or a device, where a file has to be', path)
    if not status.st_size:
        raise SampleError('it is empty, it has 0 bytes; fetch it again', path)
