"""Panels of a data set's own images, with the nearest neighbours of those that have a gallery."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from mmengine.dataset import pseudo_collate
from torch import Tensor
from torch.nn.functional import normalize
from torch.utils.data import DataLoader, Dataset, Subset

from .one_pass import Size, evaluation_mode, predict_image, read_image
from .panel import Neighbour, draw_panel

JUNK = -1


class PanelMaker:
    """Draws panels of images of one task's data set.

    Where the data set has queries and a gallery (``is_query``, ``person_id``, ``camera_id`` in its
    data infos) and the task predicts an ``embedding``, a panel shows the query's nearest neighbours
    under Market-1501's protocol: neither junk nor the query's identity by the query's camera.

    Args:
        model: A :class:`~mmgradsplit.models.MultiTaskModel`.
        datasets: Data set of each task, which also name classes, colours and skeletons.
        images_from: The task whose images are drawn. By default the first whose data set has
            queries, or else the first.
        num_neighbours: Neighbours of a query.
        size: (width, height) that the images are resized to for the network; by default, that of
            the data set's own pipeline.
        batch_size: Batch size of the gallery.
        num_workers: Processes that read the gallery.

    Raises:
        ValueError: If there is no such task, or its data set has no image files.
    """

    def __init__(
        self,
        model: Any,
        datasets: Mapping[str, Dataset],
        *,
        images_from: str | None = None,
        num_neighbours: int = 8,
        size: Size | None = None,
        batch_size: int = 64,
        num_workers: int = 0,
    ) -> None:
        if images_from is not None and images_from not in datasets:
            raise ValueError(
                f"images_from: there is no task '{images_from}'; the tasks are {list(datasets)}"
            )
        datasets = {task: _unwrapped(dataset) for task, dataset in datasets.items()}
        with_queries = [task for task, dataset in datasets.items() if _has_queries(dataset)]
        self.task = images_from or [*with_queries, *datasets][0]
        self.model = model
        self.dataset = datasets[self.task]
        self.metas = {task: getattr(d, 'metainfo', {}) for task, d in datasets.items()}
        self.num_neighbours = num_neighbours
        self.size = size
        self.batch_size = batch_size
        self.num_workers = num_workers
        if 'img_path' not in _info(self.dataset, 0):
            raise ValueError(
                f"images_from: the data set of the task '{self.task}' "
                f'({type(self.dataset).__name__}) has no image files (img_path)'
            )

    def panels(
        self, num_images: int, gallery_size: int | None = None
    ) -> Iterator[tuple[str, Figure]]:
        """Draw images that are spread over the identities, or over the data set.

        Args:
            num_images: Number of images.
            gallery_size: Use only so many images of the gallery; by default all of them.

        Yields:
            A name for each picture, and the picture.
        """
        infos = [_info(self.dataset, i) for i in range(len(self.dataset))]  # type: ignore[arg-type]
        gallery = [
            i
            for i, info in enumerate(infos)
            if info.get('is_query') is False and info['person_id'] != JUNK
        ][:gallery_size]
        embeddings: Tensor | None = None
        for index in choose(infos, num_images):
            info = infos[index]
            image = read_image(info['img_path'])
            predictions = predict_image(self.model, image, self.size or self._input_size(index))
            neighbours: Sequence[Neighbour] = ()
            if gallery and 'embedding' in predictions[self.task]:
                if embeddings is None:
                    embeddings = self._embed(gallery)
                neighbours = self._nearest(
                    predictions[self.task].embedding, info, [infos[i] for i in gallery], embeddings
                )
            labels = info.get('gt_label')
            truth = {} if labels is None else {self.task: set(np.atleast_1d(labels).tolist())}
            panel = draw_panel(
                image,
                predictions,
                self.metas,
                truth=truth,
                neighbours=neighbours,
                title=_title(self.task, index, info),
            )
            yield f'{self.task}_{index:05d}', panel

    def _input_size(self, index: int) -> Size:
        height, width = self.dataset[index]['inputs'].shape[-2:]
        return width, height

    def _embed(self, indices: Sequence[int]) -> Tensor:
        """Embeddings of these images, shape [N x C], of length 1."""
        loader = DataLoader(
            Subset(self.dataset, indices),
            batch_size=self.batch_size,
            num_workers=self.num_workers,
            collate_fn=pseudo_collate,
        )
        found: list[Tensor] = []
        with evaluation_mode(self.model), torch.no_grad():
            for batch in loader:
                samples = self.model.val_step(dict(batch, task=self.task))
                found.extend(sample.embedding.cpu() for sample in samples)
        return normalize(torch.stack(found))

    def _nearest(
        self, embedding: Tensor, query: Mapping, gallery: Sequence[Mapping], embeddings: Tensor
    ) -> list[Neighbour]:
        """The query's nearest gallery images by cosine distance."""
        distances = 1 - embeddings @ normalize(embedding.cpu(), dim=0)
        neighbours: list[Neighbour] = []
        for i in distances.argsort(stable=True).tolist():
            same = gallery[i]['person_id'] == query['person_id']
            if same and gallery[i]['camera_id'] == query['camera_id']:
                continue
            image = read_image(gallery[i]['img_path'])
            neighbours.append(Neighbour(image, float(distances[i]), same))
            if len(neighbours) == self.num_neighbours:
                break
        return neighbours


def choose(infos: Sequence[Mapping[str, Any]], number: int) -> list[int]:
    """Choose images to draw.

    Args:
        infos: Data info of each image.
        number: How many to choose.

    Returns:
        Indices of at most ``number`` images: if there are queries, the first one of identities that
        are spread evenly, else images that are.
    """
    first_of: dict[Any, int] = {}
    for i, info in enumerate(infos):
        if info.get('is_query'):
            first_of.setdefault(info['person_id'], i)
    candidates = [first_of[key] for key in sorted(first_of)] or list(range(len(infos)))
    places = np.linspace(0, len(candidates) - 1, min(number, len(candidates))).round().astype(int)
    return [candidates[place] for place in places]


def _unwrapped(dataset: Any) -> Any:
    """The data set that can tell the file of a sample."""
    while not hasattr(dataset, 'get_data_info') and hasattr(dataset, 'dataset'):
        dataset = dataset.dataset
    return dataset


def _has_queries(dataset: Dataset) -> bool:
    return 'is_query' in _info(dataset, 0)


def _info(dataset: Any, index: int) -> Mapping[str, Any]:
    return dataset.get_data_info(index) if hasattr(dataset, 'get_data_info') else {}


def _title(task: str, index: int, info: Mapping[str, Any]) -> str:
    if info.get('is_query'):
        return f'query: person {info["person_id"]}, camera {info["camera_id"]}'
    return f'validation image {index} of {task}'
