"""The folder that files are written to, in which nothing is written over unasked."""

from collections.abc import Iterable
from pathlib import Path


def out_folder(out: str | Path, patterns: Iterable[str] = (), overwrite: bool = False) -> Path:
    """See that files can be written to a folder.

    Args:
        out: The folder, which need not be there.
        patterns: The files that may be written, below the folder. A star stands for anything.
        overwrite: Whether they may be there already.

    Returns:
        The folder.

    Raises:
        FileExistsError: If a file is there already.
        NotADirectoryError: If the folder is a file.
    """
    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"--out: '{folder}' is a file, not a folder")
    for pattern in () if overwrite else patterns:
        # Names of files may hold what else has a meaning in a pattern.
        plain = pattern.replace('[', '[[]').replace('?', '[?]')
        if there := next(folder.glob(plain), None):
            raise FileExistsError(
                f"'{there}' is there already: give --overwrite, or another folder by --out"
            )
    return folder
