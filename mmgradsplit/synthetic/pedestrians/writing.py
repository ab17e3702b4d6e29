"""What the writers of the four data sets share: streams of randomness, processes and files."""

import contextlib
import io
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
from rich.progress import Progress
from scipy.io import savemat

T = TypeVar('T')
R = TypeVar('R')
# One stream of randomness for each kind of thing that is drawn.
ATTRIBUTE_SHOT, REID_PERSON, REID_SHOT, POSE_SHOT, PARSING_SHOT = range(5)


class Crew(contextlib.ExitStack):
    """Does jobs in several processes, or in this one where one is asked for, and shows progress.

    Args:
        workers: Number of processes.
    """

    def __init__(self, workers: int) -> None:
        super().__init__()
        self.workers = workers

    def __enter__(self) -> 'Crew':
        self.progress = self.enter_context(Progress())
        self.pool = None
        if self.workers > 1:
            # The processes fill the cores. OpenCV's threads must be gone before the fork, too: a
            # child that inherits them waits for them for ever.
            self.callback(cv2.setNumThreads, cv2.getNumThreads())
            cv2.setNumThreads(1)
            self.pool = self.enter_context(ProcessPoolExecutor(self.workers))
        return self

    def __call__(self, name: str, jobs: Sequence[T], job: Callable[[T], R]) -> list[R]:
        """Return what ``job`` returns for each of ``jobs``, in order."""
        done = map(job, jobs) if self.pool is None else self.pool.map(job, jobs, chunksize=16)
        return list(self.progress.track(done, total=len(jobs), description=name))


def save_mat(path: Path, content: dict[str, Any]) -> None:
    """Write a MATLAB file whose header does not tell the time: the same content, the same bytes.

    Args:
        path: The file.
        content: Variables by name; a dict becomes a struct.
    """
    buffer = io.BytesIO()
    savemat(buffer, content)
    header = b'MATLAB 5.0 MAT-file, mmgradsplit'.ljust(116)
    path.write_bytes(header + buffer.getvalue()[len(header) :])


def cells(texts: Iterable[str]) -> np.ndarray:
    """A column of MATLAB cells.

    Args:
        texts: Text of each of N cells.

    Returns:
        shape [N x 1].
    """
    return np.array([[text] for text in texts], dtype=object)


def save_image(path: Path, image: np.ndarray, quality: int = 92) -> None:
    """Write a picture.

    Args:
        path: The file; its suffix says the format.
        image: shape [h x w] or [h x w x 3], blue, green, red.
        quality: Quality of a JPEG.

    Raises:
        OSError: If it cannot be written.
    """
    options = [cv2.IMWRITE_JPEG_QUALITY, quality] if path.suffix == '.jpg' else []
    if not cv2.imwrite(str(path), image, options):
        raise OSError(f'pedestrians: cannot write {path}')


def folders(root: Path, *names: str) -> list[Path]:
    """Make folders below ``root`` and return their paths."""
    for name in names:
        (root / name).mkdir(parents=True)
    return [root / name for name in names]
