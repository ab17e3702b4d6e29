"""What can be looked at: files, arrays, PIL images, lists, patterns, folders, videos, cameras."""

import glob
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mmgradsplit.utils import read_image

VIDEOS = ('.avi', '.m4v', '.mkv', '.mov', '.mp4', '.mpeg', '.mpg', '.ts', '.webm', '.wmv')
DEFAULT_RATE = 25.0


@dataclass(frozen=True)
class Frame:
    """One picture to look at.

    Attributes:
        name: Different for every picture of a call.
        source: The file, or the place in what was given.
        index: Its number in what was given, in a video its number there.
        image: shape [H x W x 3], BGR.
    """

    name: str
    source: str
    index: int
    image: NDArray[np.uint8]


@dataclass(frozen=True)
class Still:
    """A single picture.

    Attributes:
        name: Different for every input of a call.
        source: The file, or the place in what was given.
        index: Its number in what was given.
        value: The file, the array or the PIL image.
    """

    name: str
    source: str
    index: int
    value: Any

    @property
    def pattern(self) -> str:
        """What the name of its frame is."""
        return self.name

    def __len__(self) -> int:
        return 1

    def frames(self) -> Iterator[Frame]:
        """The picture.

        Raises:
            ValueError: If it cannot be read.
        """
        yield Frame(self.name, self.source, self.index, read_image(self.value))


@dataclass(frozen=True)
class Video:
    """A video file, a camera, or a stream.

    Attributes:
        name: Different for every input of a call.
        source: The file, the camera's number, or the stream's address.
    """

    name: str
    source: str

    @property
    def pattern(self) -> str:
        """What the names of its frames are like."""
        return f'{self.name}_*'

    def _open(self) -> Any:
        # A number is a camera, unless a file has this name.
        camera = self.source.isdigit() and not Path(self.source).is_file()
        return cv2.VideoCapture(int(self.source) if camera else self.source)

    def __len__(self) -> int:
        """The number of frames as far as it is known, else 0."""
        return max(0, int(self._property(cv2.CAP_PROP_FRAME_COUNT)))

    @property
    def rate(self) -> float:
        """Frames a second."""
        return self._property(cv2.CAP_PROP_FPS) or DEFAULT_RATE

    def _property(self, number: int) -> float:
        capture = self._open()
        value = capture.get(number)
        capture.release()
        return value

    def frames(self) -> Iterator[Frame]:
        """The frames, from the first one on.

        Raises:
            ValueError: If there are none.
        """
        capture = self._open()
        try:
            index = 0
            while True:
                there, image = capture.read()
                if not there:
                    break
                yield Frame(f'{self.name}_{index:06d}', self.source, index, image)
                index += 1
            if not index:
                what = 'camera' if self.source.isdigit() else 'video'
                raise ValueError(f"the {what} '{self.source}' has no frame that OpenCV can read")
        finally:
            capture.release()


Input = Still | Video


def find_inputs(inputs: Any) -> list[Input]:
    """All inputs of a call, without reading them.

    Args:
        inputs: A file (picture or video), a folder (its pictures, and those of the folders in it,
            without hidden ones), a pattern such as ``photos/**/*.jpg``, the number of a camera, the
            address of a stream, an array, a PIL image, or a list of these.

    Returns:
        The inputs in the order given; those of a folder or pattern sorted by name.

    Raises:
        FileNotFoundError: If there is no such file or folder, or a pattern fits nothing.
        TypeError: If it is none of these.
        ValueError: If there is nothing to look at.
    """
    given = list(inputs) if isinstance(inputs, list | tuple) else [inputs]
    found: list[Any] = []
    for each in given:
        if isinstance(each, bool) or not isinstance(
            each, str | os.PathLike | int | np.ndarray | Image.Image
        ):
            raise TypeError(
                f'an input is a file, folder, pattern, array, PIL image, camera number, or a list '
                f'of these, not a {type(each).__name__}'
            )
        if isinstance(each, np.ndarray | Image.Image):
            found.append(each)
        else:
            found += _resolve(str(each) if isinstance(each, int) else os.fspath(each))
    if not found:
        raise ValueError('there is no input: give a picture, a folder, a video, …')
    names = _names(found)
    return [
        Video(name, each)
        if isinstance(each, str) and _is_video(each)
        else Still(name, each if isinstance(each, str) else f'input {i}', i, each)
        for i, (name, each) in enumerate(zip(names, found, strict=True))
    ]


def _resolve(name: str) -> list[str]:
    path = Path(name)
    if path.is_file():
        return [name]
    if path.is_dir():
        suffixes = set(Image.registered_extensions())
        inside = (
            file
            for file in sorted(path.rglob('*'))
            if file.suffix.lower() in suffixes
            and not any(part.startswith('.') for part in file.relative_to(path).parts)
            and file.is_file()
        )
        files = [str(file) for file in inside]
        if not files:
            raise ValueError(f"the folder '{name}' has no pictures")
        return files
    if name.isdigit() or '://' in name:
        return [name]
    if glob.has_magic(name):
        files = [file for file in sorted(glob.glob(name, recursive=True)) if Path(file).is_file()]
        if not files:
            raise FileNotFoundError(f"no file fits the pattern '{name}'")
        return files
    raise FileNotFoundError(f"no file or folder '{name}'")


def _is_video(name: str) -> bool:
    if Path(name).is_file():
        return Path(name).suffix.lower() in VIDEOS
    return name.isdigit() or '://' in name


def _names(found: Sequence[Any]) -> list[str]:
    """Names for files: the stem, and where two have one, the path below what all have in common."""
    paths = [Path(each) if isinstance(each, str) else None for each in found]
    names = [_plain(path.stem) if path else f'input_{i}' for i, path in enumerate(paths)]
    repeated = _repeated(names)
    if repeated:
        files = [os.path.abspath(path) for path in paths if path and '://' not in str(path)]
        root = os.path.commonpath([os.path.dirname(file) for file in files]) if files else ''
        for i, path in enumerate(paths):
            if path and names[i].casefold() in repeated:
                below = os.path.relpath(os.path.abspath(path), root)
                names[i] = _plain(below)
    # The same file twice, or names that were alike after all.
    taken: set[str] = set()
    for i, name in enumerate(names):
        number = 1
        while names[i].casefold() in taken:
            number += 1
            names[i] = f'{name}_{number}'
        taken.add(names[i].casefold())
    return names


def _plain(name: str) -> str:
    """A name without what separates folders."""
    return ''.join('_' if letter in '/\\:' else letter for letter in name) or 'input'


def _repeated(names: Sequence[str]) -> set[str]:
    return {name for name, count in Counter(map(str.casefold, names)).items() if count > 1}
