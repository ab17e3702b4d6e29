"""What is found in the network's input comes back to the picture's own pixels, to one pixel."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from mmgradsplit.inference import BoxesFile, MultiTaskInferencer, Result

from .stubs import MODEL, RED

INPUT = (96, 64)
# A pixel of the input in pixels of the picture may be as much as this off.
RADIUS = 24


@pytest.fixture(scope='module')
def inferencer() -> MultiTaskInferencer:
    pipelines = dict(
        pose=[dict(type='GetBBoxCenterScale'), dict(type='TopdownAffine', input_size=(96, 96))],
        parsing=[dict(type='Resize', scale=INPUT)],
        boxes=[dict(type='Resize', scale=(128, 64), keep_ratio=True)],
    )
    loaders = {task: dict(dataset=dict(pipeline=steps)) for task, steps in pipelines.items()}
    meta = Config(dict(model=MODEL, val_dataloader=loaders, default_scope='mmgradsplit'))
    built = MultiTaskInferencer(meta, device='cpu')
    built.model.dataset_meta = dict(parsing=dict(classes=('background', 'red')))
    return built


def picture(size: tuple[int, int], at: tuple[float, float], radius: float = RADIUS) -> np.ndarray:
    """Grey with a red dot, drawn in sixteenths of a pixel."""
    image = np.full((size[1], size[0], 3), 128, np.uint8)
    centre, sixteenths = tuple(round(16 * value) for value in at), round(16 * radius)
    return cv2.circle(image, centre, sixteenths, RED, -1, cv2.LINE_AA, shift=4)


def check(tasks: Any, at: tuple[float, float], radius: float, slack: float, size: Any) -> None:
    """All three tasks find the dot, within ``slack`` pixels of the picture."""
    np.testing.assert_allclose(tasks['pose'].xy, [[at, at]], atol=slack)
    rows, columns = np.nonzero(tasks['parsing'].labels)
    x, y = tasks['parsing'].origin
    np.testing.assert_allclose((columns.mean() + x, rows.mean() + y), at, atol=slack)
    assert abs(np.sqrt(len(rows) / np.pi) - radius) < slack
    (box,) = tasks['boxes'].xyxy
    edges = np.array([*at, *at]) + 0.5 + radius * np.array([-1, -1, 1, 1])
    np.testing.assert_allclose(box, edges, atol=max(slack, 1.0) + 1.5 / SCALE(size))
    rows, columns = np.nonzero(tasks['boxes'].masks[0])
    x, y = tasks['boxes'].origin
    mask = (columns.min() + x, rows.min() + y, columns.max() + 1 + x, rows.max() + 1 + y)
    np.testing.assert_allclose(mask, box, atol=1)


def SCALE(size: tuple[int, int]) -> float:
    return min(INPUT[0] / size[0], INPUT[1] / size[1])


@pytest.mark.parametrize('passes', ['shared', 'own'])
@pytest.mark.parametrize(
    ('size', 'at'),
    [
        ((288, 192), (200.3, 60.7)),  # the input's aspect
        ((250, 250), (30.0, 220.0)),
        ((150, 300), (120.5, 40.0)),
        ((400, 90), (350.0, 45.0)),
        ((96, 64), (50.0, 30.0)),
        ((60, 50), (30.0, 25.0)),  # enlarged
    ],
)
def test_a_dot_is_where_it_is(
    inferencer: MultiTaskInferencer, size: tuple[int, int], at: tuple[float, float], passes: Any
) -> None:
    radius = min(RADIUS, min(size) / 4)
    (result,) = inferencer(picture(size, at, radius), passes=passes, size=None if passes == 'own'
                           else INPUT)  # fmt: skip
    assert result.size == size
    assert result.tasks['parsing'].labels.shape == size[::-1]
    check(result.tasks, at, radius, 1.0, size)


@pytest.mark.parametrize('orientation', range(1, 9))
def test_exif_turns(inferencer: MultiTaskInferencer, tmp_path: Path, orientation: int) -> None:
    """The stored pixels are turned so that they show the picture upright."""
    at, shown = (190.0, 50.0), picture((240, 160), (190.0, 50.0))
    stored = {
        1: shown, 2: shown[:, ::-1], 3: shown[::-1, ::-1], 4: shown[::-1],
        5: shown.transpose(1, 0, 2), 6: np.rot90(shown), 7: shown[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(shown, -1),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = tmp_path / 'turned.png'
    Image.fromarray(np.ascontiguousarray(stored[..., ::-1])).save(file, exif=exif)
    (result,) = inferencer(file, size=INPUT)
    assert result.size == (240, 160)
    check(result.tasks, at, RADIUS, 1.0, result.size)


def test_a_picture_in_a_larger_one(inferencer: MultiTaskInferencer, tmp_path: Path) -> None:
    """People of a scene: what is found in the crops is in the scene's pixels."""
    scene = np.full((480, 640, 3), 90, np.uint8)
    places = {(90, 40): (60.0, 80.0), (400, 250): (40.0, 120.0), (540, 330): (70.0, 30.0)}
    annotations = []
    for number, ((x, y), at) in enumerate(places.items()):
        scene[y : y + 150, x : x + 100] = picture((100, 150), at, 18)
        annotations.append(dict(id=number, image_id=7, bbox=[x, y, 100, 150], category_id=1))
    cv2.imwrite(str(tmp_path / 'scene.png'), scene)
    boxes = tmp_path / 'boxes.json'
    images = [dict(id=7, file_name='scene.png')]
    boxes.write_text(json.dumps(dict(images=images, annotations=annotations)))
    for passes in ('shared', 'own'):
        (result,) = inferencer(
            tmp_path / 'scene.png', people=BoxesFile(boxes), passes=passes, batch_size=2
        )
        assert result.image_id == 7 and result.people is not None and len(result.people) == 3
        for person, ((x, y), at) in zip(result.people, places.items(), strict=True):
            assert person.box == (x, y, x + 100, y + 150)
            there = (x + at[0], y + at[1])
            check(person.tasks, there, 18, 1.0, (120, 190))


def whole(result: Result) -> dict[str, Any]:
    return {task: said.as_json() for task, said in result.tasks.items()}


def test_a_batch_says_what_each_says_alone(inferencer: MultiTaskInferencer) -> None:
    sizes = [(288, 192), (250, 250), (150, 300), (60, 50), (250, 250)]
    pictures = [picture(size, (30 + i, 25), 12) for i, size in enumerate(sizes)]
    for passes in ('shared', 'own'):
        together = [whole(result) for result in inferencer(pictures, passes=passes, batch_size=5)]
        alone = [whole(result) for result in inferencer(pictures, passes=passes, batch_size=1)]
        assert together == alone and len(alone) == 5
