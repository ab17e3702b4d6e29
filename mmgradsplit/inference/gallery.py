"""A gallery for re-identification: the embeddings of many pictures, and who in it is alike."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock, Timeout
from mmengine.config import Config
from numpy.typing import ArrayLike, NDArray

from mmgradsplit.evaluation import comparable, ranking_distance
from mmgradsplit.functional.placement import Size
from mmgradsplit.utils import write_json

from .images import Still, find_inputs
from .inferencer import MultiTaskInferencer, Passes
from .results import Embedding

INFO, VECTORS, PICTURES, LOCK = 'gallery.json', 'embeddings.f32', 'pictures.jsonl', 'build.lock'
# Little-endian, whatever the machine.
FLOAT = np.dtype('<f4')
# What is compared at once: embeddings of the gallery, in float64, and queries.
ROWS, QUERIES = 4096, 32
ANY_SIZE = (64, 128)


@dataclass(frozen=True)
class Look:
    """How pictures are embedded, which must be the same for a gallery and its queries.

    Attributes:
        network: SHA-256 of the network's weights, in whichever file they are.
        task: The task whose result is the embedding.
        dimension: Length of the embedding.
        distance: ``'cosine'`` or ``'euclidean'``, as the task's ``ReIDMetric`` has it.
        passes: ``'own'``: pictures are seen as the task was validated; ``'shared'``: letterboxed.
        size: (width, height) of the network's input; None for that of the pictures.
        rule: How pictures are brought to this size.
    """

    network: str
    task: str
    dimension: int
    distance: str
    passes: Passes
    size: Size | None
    rule: str

    def options(self) -> dict[str, Any]:
        """Those of :meth:`~mmgradsplit.inference.MultiTaskInferencer.stream`."""
        size = self.size if self.passes == 'shared' else None
        return dict(tasks=[self.task], passes=self.passes, size=size)

    def differences(self, other: Look) -> str:
        """What is not the same, in words; empty where all is."""
        own, others = asdict(self), asdict(other)
        if self.network != other.network:
            return f'its weights are other ones ({self.network[:8]}, not {other.network[:8]})'
        return ', '.join(
            f'its {key} is {own[key]}, not {others[key]}' for key in own if own[key] != others[key]
        )


def look_of(
    inferencer: MultiTaskInferencer,
    task: str | None = None,
    passes: Passes = 'own',
    size: Size | None = None,
) -> Look:
    """How a network embeds pictures.

    Args:
        inferencer: The network.
        task: The task whose result is an embedding; by default the only one of this kind.
        passes: ``'own'`` or ``'shared'``, as for
            :meth:`~mmgradsplit.inference.MultiTaskInferencer.stream`.
        size: (width, height) of the shared input, by default that of the first task.

    Raises:
        KeyError: If there is no such task.
        ValueError: If no task's result is an embedding, or those of several are.
    """
    model = inferencer.model
    dimensions = {}
    width, height = model.input_size or ANY_SIZE
    black = np.zeros((height, width, 3), np.uint8)
    for name in inferencer.tasks if task is None else [task]:
        # By itself: tasks that cannot share an input are looked at, too.
        (result,) = inferencer([black], tasks=[name])
        said = result.tasks.get(name)
        if isinstance(said, Embedding):
            dimensions[name] = len(said.vector)
    if not dimensions:
        what = f"the task '{task}' gives no embedding" if task else 'no task gives an embedding'
        raise ValueError(f'{what}, such as a gallery is made of; the tasks are {inferencer.tasks}')
    if len(dimensions) > 1:
        raise ValueError(f'several tasks give an embedding: choose one of {[*dimensions]} by task')
    ((name, dimension),) = dimensions.items()
    taken, rule = size or model.input_size, 'letterbox'
    if passes == 'own':
        if size is not None:
            raise ValueError("passes='own' takes the task's own size: leave the size out")
        view = inferencer.views.get(name)
        taken, rule = (view.size, f'{view.rule} {view.padding:g}') if view else (None, 'unknown')
    return Look(
        network=weights_hash(model),
        task=name,
        dimension=dimension,
        distance=_distance(model.cfg, name),
        passes=passes,
        size=taken and (int(taken[0]), int(taken[1])),
        rule=rule,
    )


def weights_hash(model: torch.nn.Module) -> str:
    """SHA-256 of a model's weights, statistics and norms of the input, by their names.

    A checkpoint has the same one before and after ``mmgradsplit publish``.

    Args:
        model: The model.
    """
    digest = hashlib.sha256()
    values = dict(model.named_buffers()) | model.state_dict()
    for name in sorted(values):
        value = values[name].detach().cpu().contiguous()
        digest.update(f'{name} {value.dtype} {tuple(value.shape)}\n'.encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _distance(cfg: Config, task: str) -> str:
    """The distance by which the config measures a task."""
    evaluators = cfg.get('val_evaluator') or {}
    metrics = evaluators.get(task) if isinstance(evaluators, Mapping) else None
    for metric in [metrics] if isinstance(metrics, Mapping) else metrics or ():
        kind = metric.get('type')
        if getattr(kind, '__name__', str(kind)).rpartition('.')[2] == 'ReIDMetric':
            return metric.get('distance', 'cosine')
    return 'cosine'


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
        self.look, complete = _read_info(self.folder)
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


def _read_info(folder: Path) -> tuple[Look, bool]:
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
    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"--out: '{folder}' is a file, not a folder")
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
        for file in (pictures, vectors):
            if file.exists():
                raise FileExistsError(
                    f"'{file}' is there already: give --overwrite, or another folder by --out"
                )
        return set()
    of_gallery, _ = _read_info(folder)
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
