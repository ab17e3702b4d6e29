"""The metric of person re-identification: mAP and Rank-k under Market-1501's protocol."""

import logging
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from torch import Tensor

from mmgradsplit.registry import METRICS

RANKS = (1, 5, 10)
DISTANCES = ('cosine', 'euclidean')
# Embeddings, identities and cameras of some images.
Side: TypeAlias = tuple[Tensor, ...]
FIELDS = ('person_id', 'camera_id', 'is_query')


@METRICS.register_module()
class ReIDMetric(BaseMetric):
    """``mAP``, ``Rank-1``, ``Rank-5`` and ``Rank-10``, in percent (Zheng et al. 2015).

    For each query, the gallery is ranked by distance. Left out of it are junk (identity -1) and
    images of the query's identity by the query's camera; distractors (identity 0) stay, as wrong
    ones. The average precision is the mean of the precision at each right image (without the
    trapezoids of the authors' MATLAB script, as is common today). Equal distances keep the order of
    the data set. Queries without a right image are left out of the means and counted in a warning.

    Memory is bounded by ``chunk_size`` times the size of the gallery.

    Args:
        distance: ``'cosine'``, which ranks like the Euclidean distance of embeddings of length 1,
            or ``'euclidean'``, of the embeddings as they are.
        chunk_size: Queries that are ranked at a time.
        **kwargs: Other arguments of mmengine's ``BaseMetric``.

    Raises:
        ValueError: If ``distance`` is neither of the two, a sample lacks a field, or there is no
            query, no gallery or no query with a right image.
    """

    lower_is_better: ClassVar[dict[str, bool]] = {'*': False}

    def __init__(self, distance: str = 'cosine', chunk_size: int = 128, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if distance not in DISTANCES:
            raise ValueError(
                f"ReIDMetric: distance must be 'cosine' or 'euclidean', not {distance!r}."
            )
        self.distance = distance
        self.chunk_size = chunk_size

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the embedding, ``[C]``, identity, camera and role of each sample.

        Args:
            data_batch: Not used.
            data_samples: Each with ``embedding``, ``person_id``, ``camera_id`` and ``is_query``.
        """
        for sample in data_samples:
            missing = [key for key in ('embedding', *FIELDS) if key not in sample]
            if missing:
                raise ValueError(
                    f'ReIDMetric: a sample lacks {", ".join(missing)}: the embedding comes from '
                    f'ReIDHead, the rest from meta_keys of PackInputs, which must name {FIELDS}.'
                )
            embedding = sample['embedding'].float().cpu().numpy()
            self.results.append((embedding, *(int(sample[key]) for key in FIELDS)))

    def compute_metrics(self, results: list[tuple]) -> dict[str, float]:
        """Return the four scores of the samples that ``process`` kept."""
        embeddings = torch.from_numpy(np.stack([r[0] for r in results]))
        embeddings = comparable(embeddings, self.distance)
        person, camera, is_query = torch.tensor([r[1:] for r in results]).T
        query, gallery = is_query == 1, (is_query == 0) & (person != -1)
        if not query.any() or not gallery.any():
            raise ValueError(
                f'ReIDMetric: {int(query.sum())} queries and {int(gallery.sum())} gallery images: '
                'the data set needs both (is_query).'
            )

        average_precisions, first_ranks = [], []
        gallery_side = (embeddings[gallery], person[gallery], camera[gallery])
        query_side = (embeddings[query], person[query], camera[query])
        for i in range(0, len(query_side[0]), self.chunk_size):
            chunk = tuple(part[i : i + self.chunk_size] for part in query_side)
            for ranks in _ranks_of_right_images(chunk, gallery_side):
                precisions = torch.arange(1, len(ranks) + 1, dtype=torch.float64) / ranks
                average_precisions.append(precisions.mean())
                first_ranks.append(ranks[0])

        skipped = int(query.sum()) - len(first_ranks)
        if not first_ranks:
            raise ValueError(f'ReIDMetric: none of the {skipped} queries has a right image.')
        if skipped:
            print_log(
                f'ReIDMetric: {skipped} of {int(query.sum())} queries have no right image in the '
                'gallery and are left out.',
                logger='current',
                level=logging.WARNING,
            )
        first = torch.stack(first_ranks)
        scores = {'mAP': torch.stack(average_precisions).mean()}
        scores |= {f'Rank-{k}': (first <= k).double().mean() for k in RANKS}
        return {name: 100 * float(score) for name, score in scores.items()}


def comparable(embeddings: Tensor, distance: str) -> Tensor:
    """Embeddings whose Euclidean distances rank as a distance does.

    Args:
        embeddings: shape [N x C].
        distance: ``'cosine'`` or ``'euclidean'``.

    Returns:
        shape [N x C], float64; of length 1 for ``'cosine'``.
    """
    return F.normalize(embeddings.double()) if distance == 'cosine' else embeddings.double()


def ranking_distance(queries: Tensor, candidates: Tensor) -> Tensor:
    """A number that grows with the distance, for all of a query's candidates.

    It is rounded to float32, so that equal embeddings tie although their sums were taken in another
    order.

    Args:
        queries: What :func:`comparable` returned, shape [Q x C].
        candidates: The same of G images.

    Returns:
        shape [Q x G], float32.
    """
    return ((candidates**2).sum(1) - 2 * queries @ candidates.T).float()


def _ranks_of_right_images(queries: Side, gallery: Side) -> Iterator[Tensor]:
    """Yield, for each query with a right image, their ranks from 1 on, ascending.

    Args:
        queries: Embeddings, ``[Q, C]`` in float64, identities, ``[Q]``, and cameras, ``[Q]``.
        gallery: The same of G images without junk.
    """
    query, query_person, query_camera = queries
    candidate, gallery_person, gallery_camera = gallery
    order = ranking_distance(query, candidate).argsort(dim=1, stable=True)
    same_person = gallery_person[order] == query_person[:, None]
    same_camera = gallery_camera[order] == query_camera[:, None]
    kept = ~(same_person & same_camera)
    right = same_person & ~same_camera & (query_person > 0)[:, None]
    rank = kept.cumsum(1)
    for row, mask in zip(rank, right, strict=True):
        if mask.any():
            yield row[mask]
