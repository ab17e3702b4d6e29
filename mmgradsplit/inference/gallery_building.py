"""Building a gallery: from files of pictures to their embeddings, stopped and gone on with."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from mmgradsplit.functional.placement import Size
from mmgradsplit.utils import write_json

from .gallery import FLOAT, INFO, PICTURES, VECTORS, Gallery, read_info
from .images import Still, find_inputs
from .inferencer import MultiTaskInferencer, Passes
from .look import Look, look_of
from .out_folder import out_folder
from .task_results import Embedding

LOCK = 'build.lock'


def build_gallery(
    inferencer: MultiTaskInferencer,
    inputs: Any,
    out: str | Path,
    *,
    task: str | None = None,
    passes: Passes = 'own',
    size: Size | None = None,
    batch_size: int = 32,
    overwrite: bool = False,
    progress: bool = False,
) -> Gallery:
    """Embed pictures into a gallery, or those that are not in it yet.

    A gallery that was stopped goes on where it was, and a finished one takes further pictures.

    Args:
        inferencer: The network. Its ``failures`` are the pictures that could not be read.
        inputs: Files, folders and patterns of pictures, see
            :func:`~mmgradsplit.inference.find_inputs`.
        out: Folder of the gallery.
        task: As for :func:`look_of`, as are ``passes`` and ``size``.
        passes: ``'own'`` or ``'shared'``.
        size: (width, height) of the shared input.
        batch_size: Pictures of a batch.
        overwrite: Begin anew where there is a gallery.
        progress: Show how far it is.

    Returns:
        The gallery.

    Raises:
        FileNotFoundError: If a folder or file is not there.
        FileExistsError: If there is a gallery of another network, or another process makes it.
        NotADirectoryError: If ``out`` is a file.
        ValueError: If an option does not fit, an input is no file of a picture, or nothing could be
            read.
    """
    files = _files(inputs)
    folder = out_folder(out)
    look = look_of(inferencer, task, passes, size)
    with _locked(folder):
        known = set() if overwrite else _known(folder, look)
        if overwrite:
            for name in (INFO, VECTORS, PICTURES):
                (folder / name).unlink(missing_ok=True)
        missing = [each for path, each in files.items() if path not in known]
        _write_info(folder, look, complete=False)
        inferencer.failures = []
        if missing:
            _embed(inferencer, missing, folder, look, batch_size, progress, bool(known))
        _write_info(folder, look, complete=True)
    return Gallery(folder)


def _files(inputs: Any) -> dict[str, Still]:
    """The pictures by absolute path, each once."""
    files: dict[str, Still] = {}
    for each in find_inputs(inputs):
        if not isinstance(each, Still) or not isinstance(each.value, str):
            raise ValueError(f"a gallery is made of files of pictures, and '{each.source}' is none")
        files.setdefault(os.path.abspath(each.value), each)
    return files


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / LOCK, timeout=0):
            yield
    except Timeout:
        raise FileExistsError(f"another process is making the gallery '{folder}'") from None


def _known(folder: Path, look: Look) -> set[str]:
    """The pictures that a gallery has already; what was written by half is cut off.

    Raises:
        FileExistsError: If it is a gallery of another network.
    """
    pictures, vectors = folder / PICTURES, folder / VECTORS
    if not (folder / INFO).is_file():
        out_folder(folder, [PICTURES, VECTORS])
        return set()
    of_gallery, _ = read_info(folder)
    if differences := look.differences(of_gallery):
        raise FileExistsError(
            f"the gallery '{folder}' was made with another network than this one: {differences}; "
            f'give --overwrite to make it anew, or another folder by --out'
        )
    if not (pictures.is_file() and vectors.is_file()):
        return set()
    lines = pictures.read_bytes().split(b'\n')[:-1]
    row = FLOAT.itemsize * look.dimension
    whole = min(len(lines), vectors.stat().st_size // row)
    os.truncate(vectors, whole * row)
    os.truncate(pictures, sum(len(line) + 1 for line in lines[:whole]))
    return {json.loads(line) for line in lines[:whole]}


def _write_info(folder: Path, look: Look, complete: bool) -> None:
    write_json(folder / INFO, asdict(look) | dict(complete=complete))


def _embed(
    inferencer: MultiTaskInferencer,
    missing: Sequence[Still],
    folder: Path,
    look: Look,
    batch_size: int,
    progress: bool,
    some_known: bool,
) -> None:
    """Append the embeddings of pictures, and their names."""
    results = inferencer.stream(
        list(missing), batch_size=batch_size, progress=progress, **look.options()
    )
    with (folder / VECTORS).open('ab') as vectors, (folder / PICTURES).open('ab') as pictures:
        try:
            for result in results:
                said = result.tasks[look.task]
                assert isinstance(said, Embedding)
                if not np.isfinite(said.vector).all():
                    raise ValueError(
                        f"the embedding of '{result.source}' is not finite: the network is broken"
                    )
                vectors.write(said.vector.astype(FLOAT).tobytes())
                # A name without an embedding would move all that come after it.
                vectors.flush()
                pictures.write(json.dumps(os.path.abspath(result.source)).encode() + b'\n')
                pictures.flush()
        except ValueError:
            # Of a gallery that has pictures, the last ones may all be broken.
            if not (some_known and len(inferencer.failures) == len(missing)):
                raise
