"""The files of results: read again by what reads such files, and never written over."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from mmgradsplit.inference import (
    WRITERS,
    Boxes,
    BoxesFile,
    Embedding,
    Keypoints,
    LabelMap,
    MultiTaskInferencer,
    Person,
    Result,
    ValueMap,
    draw_overlay,
    find_inputs,
    make_writers,
    predict_to_folder,
)

from .conftest import METAS, Files

IMAGE = np.full((60, 80, 3), 200, np.uint8)
PALETTE = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0]], np.uint8)
NAMES = ('background', 'coat', 'shoe')


def label_map(labels: np.ndarray, origin: tuple[int, int] = (0, 0)) -> LabelMap:
    return LabelMap(labels.astype(np.uint8), NAMES, PALETTE, origin=origin)


@pytest.fixture
def result() -> Result:
    labels = np.zeros((60, 80))
    labels[10:20, 30:50] = 2
    masks = np.zeros((1, 60, 80), bool)
    masks[0, 5:25, 10:40] = True
    xy, scores = np.array([[[3.5, 4.25], [70, 50]]], np.float32), np.array([[0.9, 0.4]], np.float32)
    tasks: Any = dict(
        pose=Keypoints(('head', 'foot'), xy, scores, ((0, 1),)),
        parsing=label_map(labels),
        reid=Embedding(np.arange(4, dtype=np.float32)),
        depth=ValueMap('depth', np.linspace(1, 2, 4800, dtype=np.float32).reshape(60, 80)),
        people=Boxes(
            xyxy=np.array([[10, 5, 40, 25]], np.float32), scores=np.array([0.8], np.float32),
            labels=np.array([1]), names=('cat', 'dog'), palette=PALETTE[:2], masks=masks,
        ),
    )  # fmt: skip
    return Result('a', 'photos/a.png', 0, (80, 60), tasks, image_id=5, image=IMAGE)


def write(result: Result, out: Path, *formats: str) -> list[Path]:
    found = find_inputs([IMAGE])
    writers = make_writers(formats, out, METAS, found, list(result.tasks))
    files = [file for writer in writers for file in [*writer.write(result), *writer.close()]]
    assert all(file.is_file() for file in files)
    return files


def test_json_lines(result: Result, tmp_path: Path) -> None:
    write(result, tmp_path, 'json')
    (line,) = (tmp_path / 'predictions.jsonl').read_text().splitlines()
    content = json.loads(line)
    assert (content['source'], content['width'], content['height']) == ('photos/a.png', 80, 60)
    tasks = content['tasks']
    assert tasks['pose']['skeletons'] == [dict(head=[3.5, 4.25, 0.9], foot=[70.0, 50.0, 0.4])]
    assert tasks['parsing']['pixels'] == dict(background=4600, shoe=200)
    assert tasks['reid'] == dict(kind='embedding', vector=[0.0, 1.0, 2.0, 3.0])
    assert tasks['depth']['min'] == 1 and tasks['depth']['max'] == 2
    (box,) = tasks['people']['boxes']
    assert (box['name'], box['xyxy'], box['score']) == ('dog', [10, 5, 40, 25], 0.8)


def test_coco_reads_keypoints_and_boxes(result: Result, tmp_path: Path) -> None:
    write(result, tmp_path, 'coco')
    coco = COCO(str(tmp_path / 'coco' / 'pose_images.json'))
    assert coco.loadCats([1])[0]['skeleton'] == [[1, 2]]
    (found,) = coco.loadRes(str(tmp_path / 'coco' / 'pose.json')).loadAnns([1])
    assert found['image_id'] == 5 and found['score'] == pytest.approx(0.65)
    np.testing.assert_allclose(found['keypoints'], [3.5, 4.25, 0.9, 70, 50, 0.4], atol=1e-3)
    coco = COCO(str(tmp_path / 'coco' / 'people_images.json'))
    assert coco.loadImgs([5])[0]['file_name'] == 'photos/a.png'
    results = coco.loadRes(str(tmp_path / 'coco' / 'people.json'))
    (found,) = results.loadAnns([1])
    assert found['bbox'] == [10, 5, 30, 20] and coco.loadCats([2])[0]['name'] == 'dog'
    expected = np.zeros((60, 80), np.uint8)
    expected[5:25, 10:40] = 1
    np.testing.assert_array_equal(results.annToMask(found), expected)


def test_label_maps_have_values_and_colours(result: Result, tmp_path: Path) -> None:
    (file,) = write(result, tmp_path, 'png')
    assert file == tmp_path / 'png' / 'parsing' / 'a.png'
    image = Image.open(file)
    labels = result.tasks['parsing'].labels  # type: ignore[attr-defined]
    np.testing.assert_array_equal(np.asarray(image), labels)
    np.testing.assert_array_equal(np.asarray(image.convert('RGB')), PALETTE[labels])


def test_arrays(result: Result, tmp_path: Path) -> None:
    write(result, tmp_path, 'npy')
    depth = np.load(tmp_path / 'npy' / 'depth' / 'a.npy')
    np.testing.assert_array_equal(depth, result.tasks['depth'].values)  # type: ignore[attr-defined]
    np.testing.assert_array_equal(np.load(tmp_path / 'npy' / 'reid' / 'a.npy'), [0, 1, 2, 3])


def test_people_lie_over_each_other_by_score(tmp_path: Path) -> None:
    """Two people overlap: the surer one is seen, and its background does not hide the other."""
    sure, unsure = np.full((20, 20), 2), np.full((20, 20), 1)
    sure[:10] = 0
    people = tuple(
        Person((x, 10, x + 20, 30), score, dict(parsing=label_map(labels, (x, 10)),
               reid=Embedding(np.full(2, x, np.float32))), (x, 10, x + 20, 30))
        for x, score, labels in ((30, 0.9, sure), (40, 0.6, unsure))
    )  # fmt: skip
    result = Result('a', 'a.png', 0, (80, 60), {}, people=people, image=IMAGE)
    found = find_inputs([IMAGE])
    png, npy = make_writers(['png', 'npy'], tmp_path, {}, found, ['parsing', 'reid'])
    (file,) = png.write(result)
    expected = np.zeros((60, 80), np.uint8)
    expected[10:30, 40:60] = 1
    expected[20:30, 30:50] = 2
    np.testing.assert_array_equal(np.asarray(Image.open(file)), expected)
    (file,) = npy.write(result)
    np.testing.assert_array_equal(np.load(file), [[30, 30], [40, 40]])


def test_people_who_fill_the_picture_lie_over_each_other_too(tmp_path: Path) -> None:
    """The crop of each is the whole picture; what was said of them stays as it was."""
    unsure, sure = np.ones((60, 80)), np.zeros((60, 80))
    sure[:30] = 2
    whole = (0, 0, 80, 60)
    people = tuple(
        Person(whole, score, dict(parsing=label_map(labels)), whole)
        for score, labels in ((0.6, unsure), (0.9, sure))
    )
    result = Result('a', 'a.png', 0, (80, 60), {}, people=people, image=IMAGE)
    (file,) = write(result, tmp_path, 'png')
    expected = np.full((60, 80), 1)
    expected[:30] = 2
    np.testing.assert_array_equal(np.asarray(Image.open(file)), expected)
    np.testing.assert_array_equal(people[0].tasks['parsing'].labels, unsure)  # type: ignore[attr-defined]


def test_an_overlay_shows_what_is_where(result: Result) -> None:
    drawn = draw_overlay(result)
    factor = drawn.shape[0] // 60
    assert drawn.shape == (60 * factor, 80 * factor, 3) and factor > 1
    # The label's green in the middle of its part, grey where nothing was said.
    blue, green, red = drawn[15 * factor, 45 * factor].astype(int)
    assert green > blue + 100 and green > red + 100
    np.testing.assert_allclose(drawn[55 * factor, 10 * factor], 200, atol=2)
    with pytest.raises(ValueError, match='the picture is gone'):
        draw_overlay(result.without_image())


def test_nothing_is_written_over(files: Files, tmp_path: Path) -> None:
    """It is an error before anything is predicted, and names the file."""
    formats = [name for name in WRITERS if name != 'video']
    options: Any = dict(formats=formats, device='cpu', size=(32, 64))
    out = tmp_path / 'out'
    written = predict_to_folder(files.config, files.checkpoint, files.pictures, out, **options)
    assert {file.relative_to(out).as_posix() for file in written} == {
        'tall.png', 'wide.png', 'overlay/tall.jpg', 'overlay/wide.jpg', 'predictions.jsonl',
        'coco/pose.json', 'coco/pose_images.json', 'png/parsing/tall.png', 'png/parsing/wide.png',
        'npy/reid/tall.npy', 'npy/reid/wide.npy',
    }  # fmt: skip
    # Files of other tasks than those that are asked for are not in the way.
    again = predict_to_folder(
        files.config, files.checkpoint, files.pictures, out, tasks=['attribute'],
        **options | dict(formats=['png', 'npy']),
    )  # fmt: skip
    assert again == []
    before = {file: file.stat().st_mtime_ns for file in written}
    inferencer = MultiTaskInferencer(files.config, files.checkpoint, 'cpu')
    for file in written:
        others = tmp_path / 'others'
        (others / file.relative_to(out)).parent.mkdir(parents=True, exist_ok=True)
        (others / file.relative_to(out)).touch()
        with pytest.raises(FileExistsError, match=rf'{file.name}.*--overwrite'):
            make_writers(
                formats, others, {}, find_inputs(files.pictures), list(inferencer.model.tasks)
            )
        (others / file.relative_to(out)).unlink()
    predict_to_folder(
        files.config, files.checkpoint, files.pictures, out, overwrite=True, **options
    )
    assert all(file.stat().st_mtime_ns > time for file, time in before.items())


def test_pictures_of_one_name_are_all_kept(files: Files, tmp_path: Path) -> None:
    pictures = [tmp_path / 'a/1.png', tmp_path / 'b/1.png']
    for picture in pictures:
        picture.parent.mkdir()
        cv2.imwrite(str(picture), IMAGE)
    formats = [name for name in WRITERS if name not in ('video', 'json', 'coco')]
    options: Any = dict(formats=[*formats, 'json'], device='cpu', size=(32, 64))
    out = tmp_path / 'out'
    written = predict_to_folder(files.config, files.checkpoint, pictures, out, **options)
    assert len({*written}) == len(written)
    lines = (out / 'predictions.jsonl').read_text().splitlines()
    assert [json.loads(line)['source'] for line in lines] == [*map(str, pictures)]
    for picture in pictures:
        own = [file for file in written if file.stem.startswith(f'{picture.parent.name}_1')]
        assert len(own) == (len(written) - 1) / 2 >= len(formats)


def test_a_video_becomes_a_video(files: Files, tmp_path: Path) -> None:
    options: Any = dict(formats=['video', 'json'], device='cpu', size=(32, 64))
    predict_to_folder(files.config, files.checkpoint, files.video, tmp_path, **options)
    capture = cv2.VideoCapture(str(tmp_path / 'clip.mp4'))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 3 and capture.get(cv2.CAP_PROP_FPS) == 5
    assert len((tmp_path / 'predictions.jsonl').read_text().splitlines()) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ['clip.mp4', 'predictions.jsonl']
    with pytest.raises(ValueError, match=r"'.*tall\.png' is no video"):
        predict_to_folder(files.config, files.checkpoint, files.pictures, tmp_path, **options)


def test_panels_of_people(files: Files, tmp_path: Path) -> None:
    boxes = tmp_path / 'boxes.json'
    annotations = [
        dict(image_id=1, bbox=box) for box in ([5, 5, 40, 40], [60, 0, 40, 50], [500, 500, 9, 9])
    ]
    images = [dict(id=1, file_name='pictures/wide.png')]
    boxes.write_text(json.dumps(dict(images=images, annotations=annotations)))
    written = predict_to_folder(
        files.config, files.checkpoint, files.pictures, tmp_path / 'out',
        formats=['panel', 'json'], people=BoxesFile(boxes), device='cpu',
    )  # fmt: skip
    # The box outside is left out; tall.png is not in the file.
    assert sorted(file.name for file in written) == [
        'predictions.jsonl', 'wide_person1.png', 'wide_person2.png',
    ]  # fmt: skip
    (line,) = (tmp_path / 'out' / 'predictions.jsonl').read_text().splitlines()
    assert [person['box'] for person in json.loads(line)['people']] == [
        [5, 5, 45, 45], [60, 0, 100, 50],
    ]  # fmt: skip
