"""The re-identification metric against a slow ranking in plain Python; its memory and time."""

import logging
import math
import time
import tracemalloc

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmpretrain.structures import DataSample
from torch.utils._python_dispatch import TorchDispatchMode

from mmgradsplit.evaluation import reid_metric
from mmgradsplit.evaluation.reid_metric import ReIDMetric

KEYS = ('mAP', 'Rank-1', 'Rank-5', 'Rank-10')
Row = tuple[np.ndarray, int, int, bool]


def evaluate(rows: list[Row], **kwargs) -> dict[str, float]:
    evaluator = Evaluator(ReIDMetric(**kwargs))
    for embedding, person, camera, is_query in rows:
        sample = DataSample(metainfo=dict(person_id=person, camera_id=camera, is_query=is_query))
        sample.set_field(torch.tensor(embedding, dtype=torch.float), 'embedding')
        evaluator.process([sample], None)
    return evaluator.evaluate(len(rows))


def by_hand(rows: list[Row], cosine: bool) -> dict[str, float]:
    """Query by query: rank the gallery, then walk down the list (Market-1501's protocol)."""

    def vector(embedding: np.ndarray) -> list[float]:
        length = math.sqrt(sum(float(x) ** 2 for x in embedding)) if cosine else 1
        return [float(x) / length for x in embedding]

    queries = [(vector(e), p, c) for e, p, c, is_query in rows if is_query]
    gallery = [(vector(e), p, c) for e, p, c, is_query in rows if not is_query and p != -1]
    average_precisions, firsts = [], []
    for q, person, camera in queries:
        ranked = sorted(
            ((g, p) for g, p, c in gallery if not (p == person and c == camera)),
            key=lambda item: round(math.dist(q, item[0]), 9),  # sorted() keeps ties in order
        )
        right = [i for i, (_, p) in enumerate(ranked, start=1) if p == person]
        if right:
            average_precisions.append(
                sum(n / rank for n, rank in enumerate(right, start=1)) / len(right)
            )
            firsts.append(right[0])
    scores = [sum(average_precisions), *(sum(f <= k for f in firsts) for k in (1, 5, 10))]
    return dict(zip(KEYS, (100 * s / len(firsts) for s in scores), strict=True))


def random_rows(seed: int, ties: bool) -> list[Row]:
    rng = np.random.default_rng(seed)
    rows: list[Row] = []
    for i in range(200):
        is_query = i < 40
        person = int(rng.integers(1, 15) if is_query else rng.integers(-1, 15))
        if ties:  # few different points, of few different lengths
            embedding = rng.integers(1, 3, 3) * rng.integers(1, 3)
        else:
            embedding = rng.normal(size=8) + 0.1 * person
        rows.append((embedding.astype(np.float32), person, int(rng.integers(1, 4)), is_query))
    return rows


@pytest.mark.parametrize('ties', [False, True])
@pytest.mark.parametrize('distance', ['cosine', 'euclidean'])
@pytest.mark.parametrize('seed', range(3))
def test_equals_the_ranking_by_hand(seed, distance, ties):
    rows = random_rows(seed, ties)
    expected = by_hand(rows, cosine=distance == 'cosine')
    assert evaluate(rows, distance=distance, chunk_size=7) == pytest.approx(expected, abs=1e-6)


def row(x: float, person: int, camera: int = 2, is_query: bool = False) -> Row:
    return np.array([x, 1.0]), person, camera, is_query


def test_protocol_on_a_case_that_can_be_checked_by_eye():
    rows = [
        row(0.0, 5, camera=1, is_query=True),
        row(0.0, 5, camera=1),  # same identity and camera: left out
        row(0.1, -1),  # junk: left out
        row(0.2, 0),  # distractor: rank 1, wrong
        row(0.3, 6, camera=1),  # the camera alone is no reason: rank 2, wrong
        row(0.4, 5),  # rank 3
        row(0.5, 7),  # rank 4
        row(0.6, 5, camera=3),  # rank 5
    ]
    assert evaluate(rows) == pytest.approx(
        {'mAP': 100 * (1 / 3 + 2 / 5) / 2, 'Rank-1': 0, 'Rank-5': 100, 'Rank-10': 100}
    )


def test_distractors_are_not_an_identity():
    rows = [row(0, 5, 1, True), row(0, 5), row(0, 0, 1, True), row(0, 0)]
    assert evaluate(rows)['mAP'] == 100  # the second query has no right image


def test_queries_without_a_right_image_are_counted(monkeypatch):
    messages = []
    monkeypatch.setattr(
        reid_metric, 'print_log', lambda message, level, **_: messages.append((message, level))
    )
    rows = [row(0, 5, 1, True), row(0, 8, 1, True), row(0, 5), row(0, 8, camera=1)]
    assert evaluate(rows)['Rank-1'] == 100
    ((message, level),) = messages
    assert '1 of 2 queries' in message and level == logging.WARNING


@pytest.mark.parametrize('rows, message', [
    ([row(0, 5)], '0 queries and 1 gallery'),
    ([row(0, 5, 1, True), row(0, -1)], '1 queries and 0 gallery'),
    ([row(0, 5, 1, True), row(0, 6)], 'none of the 1 queries'),
])  # fmt: skip
def test_nothing_to_measure(rows, message):
    with pytest.raises(ValueError, match=message):
        evaluate(rows)


def test_missing_fields_and_wrong_distance_are_named():
    with pytest.raises(ValueError, match=r'lacks camera_id, is_query.*meta_keys'):
        sample = DataSample(metainfo=dict(person_id=1))
        sample.set_field(torch.zeros(3), 'embedding')
        Evaluator(ReIDMetric()).process([sample], None)
    with pytest.raises(ValueError, match=r"distance must be .*not 'manhattan'"):
        ReIDMetric(distance='manhattan')


class LargestTensor(TorchDispatchMode):
    """Notes the bytes of the largest tensor that any operation returns."""

    bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor):
            self.bytes = max(self.bytes, out.untyped_storage().nbytes())
        return out


def test_full_market_takes_seconds_and_bounded_memory():
    rng = np.random.default_rng(0)
    queries, gallery, channels = 3368, 19732, 256
    person = rng.integers(1, 751, queries + gallery)
    centres = rng.normal(size=(751, channels))
    embeddings = (centres[person] + 3 * rng.normal(size=(len(person), channels))).astype('f')
    camera = rng.integers(1, 7, len(person))
    results = [
        (embeddings[i], int(person[i]), int(camera[i]), int(i < queries))
        for i in range(len(person))
    ]
    tracemalloc.start()
    start = time.perf_counter()
    with LargestTensor() as largest:
        scores = ReIDMetric().compute_metrics(results)
    seconds = time.perf_counter() - start
    python_peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # All distances at once would be 3,368 x 19,732 x 8 bytes = 532 MB.
    assert largest.bytes < 64e6
    assert python_peak < 128e6
    assert seconds < 120  # 10 where nothing else runs
    assert 0 < scores['mAP'] < 100
