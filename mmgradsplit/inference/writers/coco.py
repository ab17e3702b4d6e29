"""COCO's files of results."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmgradsplit.utils import write_json

from ..images import Input
from ..results import Metas, Result
from ..task_results import Boxes, Keypoints


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
