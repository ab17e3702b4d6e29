"""Writers of a file for each picture: panels, overlays, label maps, arrays."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mmgradsplit.visualization import draw_panel, save_figure

from ..images import Input
from ..overlay import draw_overlay
from ..results import Metas, Result
from ..task_results import Embedding, LabelMap, PixelMap, ValueMap, VectorMap

# mmseg's label of pixels that have no class.
IGNORED = 255


class _EachPicture:
    """What writers of a file for each picture share."""

    pattern = '{name}'

    def __init__(self, out: Path, metas: Metas) -> None:
        self.out, self.metas = out, metas

    def planned(self, found: Sequence[Input], tasks: Sequence[str]) -> list[str]:
        """A file for each picture, and for each task where they are in the pattern."""
        return sorted(
            {self.pattern.format(name=each.pattern, task=t) for each in found for t in tasks}
        )

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
        for task, (said, labels) in _maps(result, LabelMap, 'labels').items():
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
        maps = _maps(result, ValueMap, 'values') | _maps(result, VectorMap, 'vectors')
        arrays = {task: array for task, (_, array) in maps.items()}
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


def _maps(result: Result, kind: type[PixelMap], field: str) -> dict[str, tuple[Any, NDArray]]:
    """The maps of a kind by task, at the size of the picture; where people overlap, the surest.

    Args:
        result: The result.
        kind: The kind.
        field: Its field with the map, [H x W] or [H x W x K].
    """
    if result.people is None:
        maps = {task: said for task, said in result.tasks.items() if isinstance(said, kind)}
        return {task: (said, getattr(said, field)) for task, said in maps.items()}
    found: dict[str, tuple[Any, NDArray]] = {}
    width, height = result.size
    for task, said, _ in result.parts():
        if not isinstance(said, kind):
            continue
        part = getattr(said, field)
        # A person's background does not hide another person.
        background = said.background if isinstance(said, LabelMap) else []
        if task not in found:
            nothing = [*background, IGNORED][0] if isinstance(said, LabelMap) else np.nan
            found[task] = (said, np.full((height, width, *part.shape[2:]), nothing, part.dtype))
        x, y = said.origin
        whole = found[task][1][y : y + part.shape[0], x : x + part.shape[1]]
        shown = ~np.isin(part, background)
        whole[shown] = part[shown]
    return found
