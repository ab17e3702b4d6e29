"""The nearest neighbours of a query in its data set's gallery."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.dataset import pseudo_collate
from torch import Tensor
from torch.nn.functional import normalize
from torch.utils.data import DataLoader, Dataset, Subset

from mmgradsplit.utils import read_image

from .one_pass import evaluation_mode
from .panel import Neighbour

JUNK = -1


class Gallery:
    """The gallery images of a data set under Market-1501's protocol, which has no junk in it.

    Args:
        model: A :class:`~mmgradsplit.models.MultiTaskModel`.
        task: The task that predicts an ``embedding``.
        dataset: Its data set.
        infos: The data infos, with ``is_query``, ``person_id`` and ``camera_id`` where the data set
            has queries. The gallery is empty where it has none.
        size: Use only so many images; by default all of them.
        batch_size: Batch size of the images.
        num_workers: Processes that read them.
    """

    def __init__(
        self,
        model: Any,
        task: str,
        dataset: Dataset,
        infos: Sequence[Mapping[str, Any]],
        *,
        size: int | None = None,
        batch_size: int = 64,
        num_workers: int = 0,
    ) -> None:
        self.model = model
        self.task = task
        self.indices = [
            i
            for i, info in enumerate(infos)
            if info.get('is_query') is False and info['person_id'] != JUNK
        ][:size]
        self.infos = [infos[i] for i in self.indices]
        self.loader: DataLoader = DataLoader(
            Subset(dataset, self.indices),
            batch_size=batch_size,
            num_workers=num_workers,
            collate_fn=pseudo_collate,
        )
        self._embeddings: Tensor | None = None

    def nearest(self, embedding: Tensor, query: Mapping[str, Any], number: int) -> list[Neighbour]:
        """The nearest images by cosine distance, without the query's identity by its camera.

        Args:
            embedding: The query's, shape [C].
            query: The query's data info.
            number: How many neighbours.

        Returns:
            At most ``number`` neighbours, the nearest first; none if the gallery is empty.
        """
        if not self.indices:
            return []
        if self._embeddings is None:
            self._embeddings = self._embed()
        distances = 1 - self._embeddings @ normalize(embedding.cpu(), dim=0)
        neighbours: list[Neighbour] = []
        for i in distances.argsort(stable=True).tolist():
            info = self.infos[i]
            same = info['person_id'] == query['person_id']
            if same and info['camera_id'] == query['camera_id']:
                continue
            neighbours.append(Neighbour(read_image(info['img_path']), float(distances[i]), same))
            if len(neighbours) == number:
                break
        return neighbours

    def _embed(self) -> Tensor:
        """Embeddings of the images, shape [N x C], of length 1."""
        found: list[Tensor] = []
        with evaluation_mode(self.model), torch.no_grad():
            for batch in self.loader:
                samples = self.model.val_step(dict(batch, task=self.task))
                found.extend(sample.embedding.cpu() for sample in samples)
        return normalize(torch.stack(found))
