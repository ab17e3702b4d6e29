"""Whom pictures show: the nearest ones of a gallery, in words, as JSON Lines and as pictures."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from mmengine.logging import print_log

from mmgradsplit.utils import read_image
from mmgradsplit.utils.tables import TextTable
from mmgradsplit.visualization import Neighbour, draw_panel, save_figure

from .gallery import Gallery
from .images import Input, find_inputs
from .inferencer import MultiTaskInferencer
from .out_folder import out_folder
from .results import Result
from .task_results import DIGITS, Embedding

LINES = 'matches.jsonl'
NOTHING = np.full((128, 64, 3), 225, np.uint8)


@dataclass(frozen=True)
class Match:
    """A picture of the gallery.

    Attributes:
        picture: Its file.
        distance: Its distance to the query.
    """

    picture: str
    distance: float

    def image(self) -> np.ndarray:
        """The picture, shape [H x W x 3], BGR; grey where it cannot be read any more."""
        try:
            return read_image(self.picture)
        except (OSError, ValueError) as error:
            print_log(f'A match cannot be shown: {error}', 'current', logging.WARNING)
            return NOTHING


@dataclass(frozen=True)
class Matches:
    """A query and the nearest pictures of a gallery.

    Attributes:
        query: The query.
        nearest: The pictures, the nearest first.
    """

    query: Result
    nearest: tuple[Match, ...]

    def as_json(self) -> dict[str, Any]:
        """What JSON can hold of it."""
        matches = [
            dict(rank=rank, picture=match.picture, distance=round(match.distance, DIGITS + 2))
            for rank, match in enumerate(self.nearest, 1)
        ]
        return dict(
            name=self.query.name,
            source=self.query.source,
            index=self.query.index,
            matches=matches,
        )

    def table(self) -> TextTable:
        """Rank, distance and picture."""
        rows = [
            [str(rank), f'{match.distance:.4f}', _short(match.picture)]
            for rank, match in enumerate(self.nearest, 1)
        ]
        title = f'nearest to {self.query.name}'
        return TextTable(['rank', 'distance', 'picture'], rows, words=['picture'], title=title)

    def draw(self) -> Figure:
        """The query and its nearest pictures.

        Returns:
            The figure, for :func:`~mmgradsplit.visualization.save_figure`.

        Raises:
            ValueError: If the query has no picture any more.
        """
        if self.query.image is None:
            raise ValueError('the picture of the query is gone')
        neighbours = [Neighbour(match.image(), match.distance) for match in self.nearest]
        return draw_panel(
            self.query.image, {}, {}, neighbours=neighbours, title=f'query: {self.query.name}'
        )


def _short(path: str) -> str:
    """A file below the working directory without the directory."""
    here = os.path.join(os.getcwd(), '')
    return path.removeprefix(here)


def find_matches(
    inferencer: MultiTaskInferencer,
    gallery: Gallery,
    inputs: Any,
    *,
    top: int = 10,
    batch_size: int = 8,
    progress: bool = False,
) -> Iterator[Matches]:
    """Find the pictures of a gallery that are nearest to each query.

    Args:
        inferencer: The network that the gallery was made with. Its ``failures`` are the queries
            that could not be read.
        gallery: The gallery.
        inputs: The queries, see :func:`~mmgradsplit.inference.find_inputs`.
        top: Number of pictures.
        batch_size: Queries of a batch.
        progress: Show how far it is.

    Returns:
        The matches of each query that could be read.

    Raises:
        FileNotFoundError: If an input is not there.
        ValueError: If it is another network, an option does not fit, or no query could be read.
    """
    if top < 1:
        raise ValueError(f'top must be at least 1, got {top}')
    found = find_inputs(inputs)
    gallery.check(inferencer)
    return _search(inferencer, gallery, found, top, batch_size, progress)


def _search(
    inferencer: MultiTaskInferencer,
    gallery: Gallery,
    found: list[Input],
    top: int,
    batch_size: int,
    progress: bool,
) -> Iterator[Matches]:
    look = gallery.look
    results = inferencer.stream(found, batch_size=batch_size, progress=progress, **look.options())
    while batch := list(islice(results, batch_size)):
        vectors = []
        for result in batch:
            said = result.tasks[look.task]
            assert isinstance(said, Embedding)
            vectors.append(said.vector)
        pairs = zip(*gallery.nearest(np.stack(vectors), top), strict=True)
        for result, (indices, distances) in zip(batch, pairs, strict=True):
            nearest = [
                Match(gallery.pictures[i], float(distance))
                for i, distance in zip(indices, distances, strict=True)
            ]
            yield Matches(result, tuple(nearest))


def query_to_folder(
    inferencer: MultiTaskInferencer,
    gallery: Gallery,
    inputs: Any,
    out: str | Path,
    *,
    overwrite: bool = False,
    **options: Any,
) -> Iterator[Matches]:
    """As :func:`find_matches`, and write ``matches.jsonl`` and a picture of each query.

    Args:
        inferencer: The network.
        gallery: The gallery.
        inputs: The queries.
        out: Folder for the files.
        overwrite: Write over files that are there.
        **options: Those of :func:`find_matches`.

    Returns:
        The matches; each is written when it is asked for.

    Raises:
        FileExistsError: If a file is there already; nothing has been predicted then.
        NotADirectoryError: If ``out`` is a file.
    """
    pictures = [f'{each.pattern}.png' for each in find_inputs(inputs)]
    folder = out_folder(out, [LINES, *pictures], overwrite)
    return _written(find_matches(inferencer, gallery, inputs, **options), folder)


def _written(matches: Iterator[Matches], folder: Path) -> Iterator[Matches]:
    lines = None
    try:
        for each in matches:
            if lines is None:
                folder.mkdir(parents=True, exist_ok=True)
                lines = (folder / LINES).open('w', encoding='utf-8')
            lines.write(json.dumps(each.as_json()) + '\n')
            lines.flush()
            save_figure(each.draw(), folder / f'{each.query.name}.png')
            yield each
    finally:
        if lines is not None:
            lines.close()
