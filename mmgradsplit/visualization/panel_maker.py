"""Panels of the images of each task's own data set."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from matplotlib.figure import Figure
from torch.utils.data import Dataset

from mmgradsplit.functional.placement import Size
from mmgradsplit.utils import read_image

from .gallery import Gallery
from .one_pass import predict_image
from .panel import Neighbour, draw_panel


class PanelMaker:
    """Draws panels of the images of the tasks' own data sets.

    A panel shows the image as its data set's pipeline crops it, with what all tasks predict of it.
    Where the data set has queries and a gallery (``is_query``, ``person_id``, ``camera_id`` in its
    data infos) and the task predicts an ``embedding``, a panel shows the query's nearest neighbours
    under Market-1501's protocol: neither junk nor the query's identity by the query's camera.

    Args:
        model: A :class:`~mmgradsplit.models.MultiTaskModel`.
        datasets: Data set of each task, which also name classes, colours and skeletons.
        images_from: The task or tasks whose images are drawn; by default, all whose data sets have
            image files.
        num_neighbours: Neighbours of a query.
        size: (width, height) that the images are resized to for the network; by default, that of
            each data set's own pipeline.
        batch_size: Batch size of the gallery.
        num_workers: Processes that read the gallery.

    Raises:
        ValueError: If there is no such task, or no image files.
    """

    def __init__(
        self,
        model: Any,
        datasets: Mapping[str, Dataset],
        *,
        images_from: str | Sequence[str] | None = None,
        num_neighbours: int = 8,
        size: Size | None = None,
        batch_size: int = 64,
        num_workers: int = 0,
    ) -> None:
        self.model = model
        self.datasets: dict[str, Any] = {task: _unwrapped(of) for task, of in datasets.items()}
        self.metas = {task: getattr(of, 'metainfo', {}) for task, of in self.datasets.items()}
        named = [images_from] if isinstance(images_from, str) else images_from
        self.tasks = self._tasks_with_images(named)
        self.num_neighbours = num_neighbours
        self.size = size
        self.batch_size = batch_size
        self.num_workers = num_workers

    def _tasks_with_images(self, named: Sequence[str] | None) -> list[str]:
        for task in named or ():
            if task not in self.datasets:
                raise ValueError(
                    f"images_from: there is no task '{task}'; the tasks are {list(self.datasets)}"
                )
        without = {t: d for t, d in self.datasets.items() if 'img_path' not in _info(d, 0)}
        missing = [task for task in named or () if task in without]
        if missing or len(without) == len(self.datasets):
            task = next(iter(missing or without))
            raise ValueError(
                f"images_from: the data set of the task '{task}' "
                f'({type(without[task]).__name__}) has no image files (img_path)'
            )
        return [task for task in named or self.datasets if task not in without]

    def panels(
        self, num_images: int, gallery_size: int | None = None
    ) -> Iterator[tuple[str, Figure]]:
        """Draw images of each task that are spread over the identities, or over the data set.

        Args:
            num_images: Number of images of each task; an image that several tasks share is drawn
                once.
            gallery_size: Use only so many images of the gallery; by default all of them.

        Yields:
            A name for each picture, and the picture.
        """
        drawn: set[tuple[str, int]] = set()
        for task in self.tasks:
            dataset = self.datasets[task]
            infos = [_info(dataset, i) for i in range(len(dataset))]
            gallery = Gallery(
                self.model,
                task,
                dataset,
                infos,
                size=gallery_size,
                batch_size=self.batch_size,
                num_workers=self.num_workers,
            )
            for index in choose(infos, num_images):
                key = (str(infos[index]['img_path']), index)
                if key not in drawn:
                    drawn.add(key)
                    yield f'{task}_{index:05d}', self._panel(task, index, infos[index], gallery)

    def _panel(self, task: str, index: int, info: Mapping[str, Any], gallery: Gallery) -> Figure:
        image, size = _view(self.datasets[task], index, info)
        predictions = predict_image(self.model, image, self.size or size)
        neighbours: list[Neighbour] = []
        if 'embedding' in predictions[task]:
            neighbours = gallery.nearest(predictions[task].embedding, info, self.num_neighbours)
        labels = info.get('gt_label')
        return draw_panel(
            image,
            predictions,
            self.metas,
            truth={} if labels is None else {task: set(np.atleast_1d(labels).tolist())},
            neighbours=neighbours,
            title=_title(task, index, info),
        )


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


def _info(dataset: Any, index: int) -> Mapping[str, Any]:
    return dataset.get_data_info(index) if hasattr(dataset, 'get_data_info') else {}


def _view(dataset: Any, index: int, info: Mapping[str, Any]) -> tuple[np.ndarray, Size]:
    """An image as its data set's pipeline shows it, and the (width, height) of the network's input.

    Top-down pose estimation cuts a person out of the image: the pipeline says where. What of the
    cut is outside the image is black, as it is for the network.
    """
    image = read_image(info['img_path'])
    sample = dataset[index]
    height, width = sample['inputs'].shape[-2:]
    meta = sample['data_samples'].metainfo
    if 'input_center' in meta:
        cut = np.rint(meta['input_scale']).astype(int)
        shift = np.asarray(cut / 2 - meta['input_center'], float)
        matrix = np.column_stack([np.eye(2), shift])
        image = np.asarray(cv2.warpAffine(image, matrix, cut.tolist()), np.uint8)
    return image, (width, height)


def _title(task: str, index: int, info: Mapping[str, Any]) -> str:
    if info.get('is_query'):
        return f'query: person {info["person_id"]}, camera {info["camera_id"]}'
    return f'validation image {index} of {task}'
