"""Where the people of a picture are: by a detector of mmdet, or out of a COCO file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmgradsplit.functional.placement import Box, Size
from mmgradsplit.utils import load_fitting, read_checkpoint

from .images import Frame

PERSON = ('person', 'pedestrian', 'people', 'human')
# Top-down networks are trained on boxes enlarged by this factor.
CONTEXT = 1.25


@dataclass(frozen=True)
class Found:
    """A person's box.

    Attributes:
        box: x1, y1, x2, y2 in the picture.
        score: How sure the detector is; 1 for an annotation.
    """

    box: Box
    score: float


class PeopleFinder(Protocol):
    """What finds the people of a picture."""

    def find(self, frame: Frame) -> list[Found]:
        """The people of a picture."""

    def image_id(self, frame: Frame) -> int | None:
        """COCO's number of the picture, where there is one."""


class Detector:
    """Finds people with a detector of mmdet.

    Args:
        config: Its config file.
        checkpoint: Its checkpoint.
        device: Such as ``'cuda:0'``; by default a GPU where there is one.
        threshold: People with a lower score are left out.

    Raises:
        FileNotFoundError: If a file is not there.
        ValueError: If it does not detect people, or config and checkpoint do not belong together.
    """

    def __init__(
        self,
        config: str | Path,
        checkpoint: str | Path,
        device: str | None = None,
        threshold: float = 0.5,
    ) -> None:
        from mmdet.apis import init_detector
        from mmdet.utils import get_test_pipeline_cfg
        from mmengine.device import get_device

        for what, file in dict(config=config, checkpoint=checkpoint).items():
            if not Path(file).is_file():
                raise FileNotFoundError(f"--detector: no {what} '{file}'")
        cfg = Config.fromfile(config)
        # mmdet leaves its scope behind.
        scope = cfg.get('default_scope') or 'mmdet'
        with DefaultScope.overwrite_default_scope(scope):
            # With a palette, mmdet does not look for the detector's own data set.
            self.model = init_detector(
                cfg, str(checkpoint), palette='random', device=device or get_device()
            )
            # mmdet loads what fits, and only warns of the rest.
            load_fitting(self.model, read_checkpoint(checkpoint), checkpoint)
            steps = get_test_pipeline_cfg(self.model.cfg)
        steps[0] = dict(type='mmdet.LoadImageFromNDArray')
        self.scope, self.steps, self.threshold = scope, steps, threshold
        classes = [str(name) for name in self.model.dataset_meta.get('classes') or ()]
        people = [i for i, name in enumerate(classes) if name.lower() in PERSON]
        if not people and len(classes) != 1:
            raise ValueError(
                f"--detector: '{config}' detects none of the classes {list(PERSON)}, but "
                f'{len(classes)} others: {", ".join(classes[:5]) or "without names"}'
            )
        self.labels = people or [0]

    def find(self, frame: Frame) -> list[Found]:
        """The people of a picture, the surest first."""
        from mmcv.transforms import Compose
        from mmdet.apis import inference_detector

        with DefaultScope.overwrite_default_scope(self.scope):
            sample = inference_detector(self.model, frame.image, Compose(self.steps))
        instances = sample.pred_instances.cpu().numpy()
        return [
            Found((float(box[0]), float(box[1]), float(box[2]), float(box[3])), float(score))
            for box, score, label in zip(
                instances.bboxes, instances.scores, instances.labels, strict=True
            )
            if label in self.labels and score >= self.threshold
        ]

    def image_id(self, frame: Frame) -> int | None:
        """A detector knows no numbers."""
        return None


class BoxesFile:
    """Looks people up in a COCO JSON file of images and annotations, by the pictures' file names.

    Args:
        file: The file: ``images`` with ``id`` and ``file_name``, ``annotations`` with ``image_id``
            and ``bbox`` (x, y, width, height), perhaps ``score``. Where there are ``categories``
            with a person among them, only these are taken. Crowds are left out.
        threshold: People with a lower score are left out.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is something else.
    """

    def __init__(self, file: str | Path, threshold: float = 0.0) -> None:
        if not Path(file).is_file():
            raise FileNotFoundError(f"--boxes: no file '{file}'")
        try:
            content = json.loads(Path(file).read_text())
            images: Sequence[Mapping] = content['images']
            annotations: Sequence[Mapping] = content['annotations']
            ids = {str(image['file_name']): int(image['id']) for image in images}
            persons = {
                category['id']
                for category in content.get('categories', ())
                if str(category['name']).lower() in PERSON
            }
            boxes: dict[int, list[Found]] = {number: [] for number in ids.values()}
            for each in annotations:
                if (persons and each.get('category_id') not in persons) or each.get('iscrowd'):
                    continue
                x, y, width, height = map(float, each['bbox'])
                score = float(each.get('score', 1.0))
                if score >= threshold:
                    boxes[int(each['image_id'])].append(Found((x, y, x + width, y + height), score))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"--boxes: '{file}' is no COCO file of images and annotations "
                f'({type(error).__name__}: {error})'
            ) from error
        self.file, self.ids, self.boxes = file, ids, boxes

    def find(self, frame: Frame) -> list[Found]:
        """The people of a picture.

        Raises:
            ValueError: If the file has no such picture.
        """
        number = self.image_id(frame)
        if number is None:
            raise ValueError(f"--boxes: '{self.file}' has no image '{Path(frame.source).name}'")
        return self.boxes[number]

    def image_id(self, frame: Frame) -> int | None:
        """The number of the picture whose name is the longest end of the source's."""
        source = Path(frame.source)
        ends = ('/'.join(source.parts[i:]) for i in range(len(source.parts)))
        return next((self.ids[end] for end in ends if end in self.ids), None)


def crop_around(box: Box, size: Size, aspect: float | None) -> tuple[int, int, int, int] | None:
    """The part of a picture around a person: the box, enlarged, within the picture.

    Args:
        box: x1, y1, x2, y2.
        size: (width, height) of the picture.
        aspect: Width by height of the network's input, to which the part is widened, so that the
            person is in the middle of it; None where it does not matter.

    Returns:
        x1, y1, x2, y2, whole pixels; None if nothing of the box is in the picture.
    """
    low, high = np.array(box[:2]), np.array(box[2:])
    if not np.isfinite([low, high]).all() or (high <= low).any():
        return None
    if (high <= 0).any() or (low >= size).any():
        return None
    middle, (width, height) = (low + high) / 2, CONTEXT * (high - low)
    if aspect:
        width, height = max(width, height * aspect), max(height, width / aspect)
    half = np.array([width, height]) / 2
    x1, y1 = np.clip(np.floor(middle - half), 0, np.array(size) - 1).astype(int).tolist()
    x2, y2 = np.clip(np.ceil(middle + half), 1, size).astype(int).tolist()
    return x1, y1, x2, y2
