"""A gallery for re-identification: the embeddings of many pictures, and who in it is alike."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from mmgradsplit.evaluation import comparable, ranking_distance

from .inferencer import MultiTaskInferencer
from .look import Look, look_of

INFO, VECTORS, PICTURES = 'gallery.json', 'embeddings.f32', 'pictures.jsonl'
# Little-endian, whatever the machine.
FLOAT = np.dtype('<f4')
# What is compared at once: embeddings of the gallery, in float64, and queries.
ROWS, QUERIES = 4096, 32


class Gallery:
    """A finished gallery, whose embeddings stay on the disk.

    Args:
        folder: What :func:`build_gallery` wrote.

    Attributes:
        folder: The folder.
        look: How its pictures were embedded.
        pictures: Their files, N.
        embeddings: shape [N x D], a memory map.

    Raises:
        FileNotFoundError: If there is no gallery.
        ValueError: If it is not finished, or broken.

    Example:
        >>> gallery = Gallery('gallery')
        >>> indices, distances = gallery.nearest(embeddings, top=5)
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.look, complete = read_info(self.folder)
        if not complete:
            raise ValueError(
                f"the gallery '{folder}' is not finished: call `mmgradsplit gallery build` again, "
                f'which goes on where it was stopped'
            )
        text = (self.folder / PICTURES).read_text(encoding='utf-8')
        self.pictures: list[str] = [json.loads(line) for line in text.splitlines()]
        vectors = self.folder / VECTORS
        shape = (len(self.pictures), self.look.dimension)
        if not self.pictures or vectors.stat().st_size != FLOAT.itemsize * shape[0] * shape[1]:
            raise ValueError(
                f"the gallery '{folder}' is broken: {VECTORS} and {PICTURES} do not belong "
                f'together; build it again with --overwrite'
            )
        self.embeddings: NDArray[np.float32] = np.memmap(vectors, FLOAT, 'r', shape=shape)

    def __len__(self) -> int:
        return len(self.pictures)

    def check(self, inferencer: MultiTaskInferencer) -> None:
        """See that a network embeds pictures as those of the gallery were.

        Args:
            inferencer: The network.

        Raises:
            KeyError: If it has no such task.
            ValueError: If it is another network.
        """
        size = self.look.size if self.look.passes == 'shared' else None
        own = look_of(inferencer, self.look.task, self.look.passes, size)
        if differences := own.differences(self.look):
            raise ValueError(
                f"the gallery '{self.folder}' was made with another network than this one: "
                f'{differences}'
            )

    def nearest(
        self, vectors: ArrayLike, top: int = 10
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The nearest pictures, ranked as :class:`~mmgradsplit.evaluation.ReIDMetric` ranks them.

        Equal distances keep the order of the gallery. The embeddings are read in blocks.

        Args:
            vectors: Embeddings of Q queries, shape [Q x D].
            top: Number of pictures; all, where there are not so many.

        Returns:
            Indices of the pictures, shape [Q x top], and distances, shape [Q x top].

        Raises:
            ValueError: If ``top`` is less than 1, or the embeddings have another length.
        """
        if top < 1:
            raise ValueError(f'top must be at least 1, got {top}')
        given = torch.from_numpy(np.asarray(vectors))
        if given.ndim != 2 or given.shape[1] != self.look.dimension:
            raise ValueError(
                f'a query has {self.look.dimension} numbers in this gallery, got embeddings of the '
                f'shape {list(given.shape)}'
            )
        queries = comparable(given, self.look.distance)
        top = min(top, len(self))
        found = np.empty((len(queries), top), np.int64)
        for start in range(0, len(queries), QUERIES):
            chunk = queries[start : start + QUERIES]
            distances = np.empty((len(chunk), len(self)), np.float32)
            for first in range(0, len(self), ROWS):
                rows = self._rows(slice(first, first + ROWS))
                distances[:, first : first + len(rows)] = ranking_distance(chunk, rows).numpy()
            for i, row in enumerate(distances, start):
                found[i] = _smallest(row, top)
        exact = np.stack([self._exact(*pair) for pair in zip(queries, found, strict=True)])
        return found, exact

    def _rows(self, which: slice | NDArray[np.int64]) -> torch.Tensor:
        rows = torch.from_numpy(np.array(self.embeddings[which], np.float32))
        return comparable(rows, self.look.distance)

    def _exact(self, query: torch.Tensor, indices: NDArray[np.int64]) -> NDArray[np.float64]:
        """Distances of a query to some pictures as people know them."""
        rows = self._rows(indices)
        if self.look.distance == 'cosine':
            return (1 - rows @ query).clamp(min=0).numpy()
        return (rows - query).norm(dim=1).numpy()


def _smallest(values: NDArray[np.float32], number: int) -> NDArray[np.int64]:
    """Indices of the smallest values, the first of equal ones first, without sorting all."""
    limit = np.partition(values, number - 1)[number - 1]
    candidates = np.flatnonzero(values <= limit)
    return candidates[np.argsort(values[candidates], kind='stable')[:number]]


def read_info(folder: Path) -> tuple[Look, bool]:
    """How the pictures of a gallery were embedded, and whether all of them are in it.

    Args:
        folder: The gallery's.

    Raises:
        FileNotFoundError: If there is no gallery.
        ValueError: If its file was written by something else.
    """
    file = folder / INFO
    if not file.is_file():
        raise FileNotFoundError(f"there is no gallery '{folder}': it has no {INFO}")
    try:
        content = json.loads(file.read_text(encoding='utf-8'))
        complete = bool(content.pop('complete'))
        size = content.pop('size')
        return Look(size=size and tuple(size), **content), complete
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"'{file}' was not written by `mmgradsplit gallery build`") from error
