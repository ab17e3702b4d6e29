"""Files of results: one writer for each of the formats."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from mmgradsplit.utils import did_you_mean

from ..images import Input
from ..out_folder import out_folder
from ..results import Metas, Result
from .coco import CocoWriter
from .each_picture import ArrayWriter, LabelWriter, OverlayWriter, PanelWriter
from .json_lines import JsonWriter
from .video import VideoWriter


class Writer(Protocol):
    """Writes results in one format, below a folder."""

    def planned(self, found: Sequence[Input], tasks: Sequence[str]) -> list[str]:
        """Patterns of the files that it may write, below the folder."""

    def write(self, result: Result) -> list[Path]:
        """Write what there is of a result; return the files that are new."""

    def close(self) -> list[Path]:
        """Write what could not be written before; return the files that are new."""


WRITERS: Mapping[str, Callable[[Path, Metas], Writer]] = {
    'panel': PanelWriter,
    'overlay': OverlayWriter,
    'json': JsonWriter,
    'coco': CocoWriter,
    'png': LabelWriter,
    'npy': ArrayWriter,
    'video': VideoWriter,
}


def make_writers(
    formats: Sequence[str],
    out: str | Path,
    metas: Metas,
    found: Sequence[Input],
    tasks: Sequence[str],
    overwrite: bool = False,
) -> list[Writer]:
    """Make the writers of some formats, and see to it that nothing is overwritten.

    Args:
        formats: Names out of :data:`WRITERS`.
        out: The folder.
        metas: Meta information of each task's data set.
        found: The inputs.
        tasks: The tasks that are predicted.
        overwrite: Whether files may be there already.

    Raises:
        FileExistsError: If a file is there already.
        NotADirectoryError: If the folder is a file.
        ValueError: If there is no such format.
    """
    for name in formats:
        if name not in WRITERS:
            hint = did_you_mean(name, WRITERS)
            raise ValueError(f"--out-format: there is no '{name}', only {list(WRITERS)}{hint}")
    writers = [WRITERS[name](Path(out), metas) for name in dict.fromkeys(formats)]
    out_folder(out, [file for each in writers for file in each.planned(found, tasks)], overwrite)
    return writers
