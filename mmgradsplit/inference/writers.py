"""Files of results: one writer for each of the formats."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mmgradsplit.utils import did_you_mean, write_json
from mmgradsplit.visualization import draw_panel, save_figure

from .images import Input, Still, Video
from .overlay import draw_overlay
from .results import Boxes, Embedding, Keypoints, LabelMap, Result, ValueMap, VectorMap

Metas = Mapping[str, Mapping[str, Any]]
# mmseg's label of pixels that have no class.
IGNORED = 255


class Writer(Protocol):
    """Writes results in one format, below a folder."""

    def planned(self, found: Sequence[Input], tasks: Sequence[str]) -> list[str]:
        """Patterns of the files that it may write, below the folder."""

    def write(self, result: Result) -> list[Path]:
        """Write what there is of a result; return the files that are new."""

    def close(self) -> list[Path]:
        """Write what could not be written before; return the files that are new."""


class _EachPicture:
    """What writers of a file for each picture share."""

    pattern = '{name}'

    def __init__(self, out: Path, metas: Metas) -> None:
        self.out, self.metas = out, metas

    def planned(self, found: Sequence[Input], tasks: Sequence[str]) -> list[str]:
        """A file for each picture, and for each task where they are in the pattern."""
        names = [each.name if isinstance(each, Still) else f'{each.name}_*' for each in found]
        return sorted({self.pattern.format(name=n, task=t) for n in names for t in tasks})

    def close(self) -> list[Path]:
        """There is nothing left."""
        return []

    def _path(self, result: Result, task: str = '') -> Path:
        path = self.out / self.pattern.format(name=result.name, task=task)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


class PanelWriter(_EachPicture):
    """A panel for each picture, or for each person of it."""

    pattern = '{name}.png'

    def planned(self, found: Sequence[Input], tasks: Sequence[str]) -> list[str]:
        """Those of pictures, and of people."""
        files = super().planned(found, tasks)
        return [*files, *(f'{file.removesuffix(".png")}_person*.png' for file in files)]

    def write(self, result: Result) -> list[Path]:
        """Draw and write."""
        assert result.image is not None
        if result.people is None:
            panel = draw_panel(result.image, result.samples, self.metas, title=result.name)
            return [save_figure(panel, self._path(result))]
        files = []
        for number, person in enumerate(result.people, 1):
            x1, y1, x2, y2 = person.crop
            title = f'{result.name}, person {number}'
            crop = np.ascontiguousarray(result.image[y1:y2, x1:x2])
            panel = draw_panel(crop, person.samples, self.metas, title=title)
            path = self._path(result)
            files.append(save_figure(panel, path.with_stem(f'{path.stem}_person{number}')))
        return files


class OverlayWriter(_EachPicture):
    """The picture with what was said drawn over it."""

    pattern = 'overlay/{name}.jpg'

    def write(self, result: Result) -> list[Path]:
        """Draw and write."""
        path = self._path(result)
        Image.fromarray(draw_overlay(result)[..., ::-1]).save(path, quality=92)
        return [path]


class LabelWriter(_EachPicture):
    """Label maps as PNG whose values are the classes and whose palette shows them."""

    pattern = 'png/{task}/{name}.png'

    def write(self, result: Result) -> list[Path]:
        """Write a file for each task with labels."""
        files = []
        for task, (said, labels) in _maps(result, LabelMap, lambda said: said.labels).items():
            path = self._path(result, task)
            if len(said.names) > 256:
                image = Image.fromarray(labels.astype(np.uint16))
            else:
                image = Image.fromarray(labels.astype(np.uint8), mode='P')
                image.putpalette(said.palette.tobytes())
            image.save(path)
            files.append(path)
        return files


class ArrayWriter(_EachPicture):
    """Depth, normals and embeddings as NumPy arrays."""

    pattern = 'npy/{task}/{name}.npy'

    def write(self, result: Result) -> list[Path]:
        """Write a file for each task with numbers; those of people lie in one array."""
        arrays: dict[str, NDArray] = {}
        for task, (_, values) in _maps(result, ValueMap, lambda said: said.values).items():
            arrays[task] = values
        for task, (_, vectors) in _maps(result, VectorMap, lambda said: said.vectors).items():
            arrays[task] = vectors
        vectors_of: dict[str, list[NDArray]] = {}
        for tasks in [result.tasks] if result.people is None else [p.tasks for p in result.people]:
            for task, said in tasks.items():
                if isinstance(said, Embedding):
                    vectors_of.setdefault(task, []).append(said.vector)
        for task, rows in vectors_of.items():
            arrays[task] = rows[0] if result.people is None else np.stack(rows)
        files = []
        for task, array in arrays.items():
            path = self._path(result, task)
            np.save(path, array)
            files.append(path)
        return files


def _maps(
    result: Result, kind: Any, values: Callable[[Any], NDArray]
) -> dict[str, tuple[Any, NDArray]]:
    """The maps of a kind by task, at the size of the picture; where people overlap, the surest."""
    found: dict[str, tuple[Any, NDArray]] = {}
    width, height = result.size
    for task, said, _ in result.parts():
        if not isinstance(said, kind):
            continue
        part = values(said)
        if part.shape[:2] == (height, width):
            found[task] = (said, part)
            continue
        if task not in found:
            nothing = [*said.background, IGNORED][0] if isinstance(said, LabelMap) else np.nan
            found[task] = (said, np.full((height, width, *part.shape[2:]), nothing, part.dtype))
        x, y = said.origin
        whole = found[task][1][y : y + part.shape[0], x : x + part.shape[1]]
        # A person's background does not hide another person.
        hidden = said.background if isinstance(said, LabelMap) else []
        shown = ~np.isin(part, hidden)
        whole[shown] = part[shown]
    return found


class JsonWriter:
    """JSON Lines: an object for each picture."""

    file = 'predictions.jsonl'

    def __init__(self, out: Path, metas: Metas) -> None:
        self.path = out / self.file
        self.lines: Any = None

    def planned(self, found: Sequence[Input], tasks: Sequence[str]) -> list[str]:
        """The file."""
        return [self.file]

    def write(self, result: Result) -> list[Path]:
        """Write a line, which can be read at once."""
        new = self.lines is None
        if new:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.lines = self.path.open('w', encoding='utf-8')
        self.lines.write(json.dumps(result.as_json(), ensure_ascii=False) + '\n')
        self.lines.flush()
        return [self.path] if new else []

    def close(self) -> list[Path]:
        """Close the file."""
        if self.lines is not None:
            self.lines.close()
        return []


class CocoWriter:
    """COCO's results of keypoints and boxes, with a file of the images that they belong to."""

    pattern = 'coco/{task}{what}.json'

    def __init__(self, out: Path, metas: Metas) -> None:
        self.out = out
        self.images: list[dict[str, Any]] = []
        self.results: dict[str, list[dict[str, Any]]] = {}
        self.categories: dict[str, list[dict[str, Any]]] = {}

    def planned(self, found: Sequence[Input], tasks: Sequence[str]) -> list[str]:
        """Two files for each task."""
        return [self.pattern.format(task=t, what=w) for t in tasks for w in ('', '_images')]

    def write(self, result: Result) -> list[Path]:
        """Keep what there is."""
        width, height = result.size
        self.images.append(
            dict(id=result.image_id, file_name=result.source, width=width, height=height)
        )
        for task, said, score in result.parts():
            if isinstance(said, Keypoints):
                self._keypoints(task, said, score, result.image_id)
            elif isinstance(said, Boxes):
                self._boxes(task, said, result)
        return []

    def _keypoints(self, task: str, said: Keypoints, score: float, image_id: int) -> None:
        skeleton = [[a + 1, b + 1] for a, b in said.links]
        person = dict(id=1, name='person', keypoints=list(said.names), skeleton=skeleton)
        self.categories[task] = [person]
        rows = self.results.setdefault(task, [])
        for points, scores in zip(said.xy, said.scores, strict=True):
            values = np.column_stack([points, scores]).ravel()
            rows.append(
                dict(
                    image_id=image_id,
                    category_id=1,
                    keypoints=[round(float(value), 3) for value in values],
                    score=round(score * float(scores.mean()), 5),
                )
            )

    def _boxes(self, task: str, said: Boxes, result: Result) -> None:
        self.categories[task] = [dict(id=i, name=name) for i, name in enumerate(said.names, 1)]
        rows = self.results.setdefault(task, [])
        # COCO's masks are of the whole picture.
        masks = said.run_lengths() if result.people is None else []
        for i, ((x1, y1, x2, y2), score, label) in enumerate(
            zip(said.xyxy.tolist(), said.scores, said.labels, strict=True)
        ):
            row = dict(
                image_id=result.image_id,
                category_id=int(label) + 1,
                bbox=[round(value, 3) for value in (x1, y1, x2 - x1, y2 - y1)],
                score=round(float(score), 5),
            )
            rows.append(row | (dict(segmentation=masks[i]) if masks else {}))

    def close(self) -> list[Path]:
        """Write the files of the tasks that there are."""
        files = []
        for task, rows in self.results.items():
            about = dict(images=self.images, annotations=[], categories=self.categories[task])
            for what, content in {'': rows, '_images': about}.items():
                path = self.out / self.pattern.format(task=task, what=what)
                write_json(path, content)
                files.append(path)
        return files


class VideoWriter:
    """A video of each video, with what was said drawn over it."""

    pattern = '{name}.mp4'

    def __init__(self, out: Path, metas: Metas) -> None:
        self.out = out
        self.rates: dict[str, tuple[str, float]] = {}
        self.current: tuple[str, Any, Path] | None = None

    def planned(self, found: Sequence[Input], tasks: Sequence[str]) -> list[str]:
        """A file for each video.

        Raises:
            ValueError: If an input is no video.
        """
        for each in found:
            if not isinstance(each, Video):
                raise ValueError(f"--out-format video: '{each.source}' is no video")
            self.rates[each.source] = (each.name, each.rate)
        return [self.pattern.format(name=each.name) for each in found]

    def write(self, result: Result) -> list[Path]:
        """Draw and append a frame."""
        frame = draw_overlay(result)
        files = []
        if self.current is None or self.current[0] != result.source:
            files = self.close()
            name, rate = self.rates[result.source]
            path = self.out / self.pattern.format(name=name)
            partial = path.with_name(f'{path.stem}.partial.mp4')
            partial.parent.mkdir(parents=True, exist_ok=True)
            codec = cv2.VideoWriter.fourcc(*'mp4v')
            size = (frame.shape[1], frame.shape[0])
            writer = cv2.VideoWriter(str(partial), codec, rate, size)
            if not writer.isOpened():
                raise OSError(f"OpenCV cannot write the video '{path}'")
            self.current = (result.source, writer, path)
        self.current[1].write(frame)
        return files

    def close(self) -> list[Path]:
        """Finish the video that is being written."""
        if self.current is None:
            return []
        _, writer, path = self.current
        writer.release()
        shutil.move(path.with_name(f'{path.stem}.partial.mp4'), path)
        self.current = None
        return [path]


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
    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"--out: '{folder}' is a file, not a folder")
    writers = []
    for name in dict.fromkeys(formats):
        if name not in WRITERS:
            hint = did_you_mean(name, WRITERS)
            raise ValueError(f"--out-format: there is no '{name}', only {list(WRITERS)}{hint}")
        writer = WRITERS[name](folder, metas)
        for pattern in writer.planned(found, tasks):
            there = next(folder.glob(_escaped(pattern)), None)
            if there and not overwrite:
                raise FileExistsError(
                    f"'{there}' is there already: give --overwrite, or another folder by --out"
                )
        writers.append(writer)
    return writers


def _escaped(pattern: str) -> str:
    """A pattern in which only the star means more than itself."""
    return pattern.replace('[', '[[]').replace('?', '[?]')
