"""``mmgradsplit predict``: its formats, and one sentence for each kind of bad input."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from mmgradsplit.cli import main
from mmgradsplit.cli.predict import FORMATS
from mmgradsplit.inference import WRITERS

from ..test_inference.conftest import Files
from ..test_inference.conftest import files as files  # the fixture

PICTURE = np.full((20, 20, 3), 90, np.uint8)


def predict(*arguments: object) -> None:
    main(['predict', *map(str, arguments), '--device', 'cpu'])


def test_the_formats_are_those_of_the_writers() -> None:
    assert set(FORMATS) == set(WRITERS)


def test_files_are_printed(
    files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The config comes from the checkpoint."""
    options = ['--out', tmp_path, '--out-format', 'overlay', 'json', '--tasks', 'pose', 'reid']
    predict('-', files.checkpoint, files.pictures, *options, '--size', 32, 64)
    written = [tmp_path / name for name in ('overlay/tall.jpg', 'overlay/wide.jpg')]
    written.insert(1, tmp_path / 'predictions.jsonl')
    assert capsys.readouterr().out.splitlines()[-3:] == [str(path) for path in written]
    lines = (tmp_path / 'predictions.jsonl').read_text().splitlines()
    assert [list(json.loads(line)['tasks']) for line in lines] == [['reid', 'pose']] * 2


Made = tuple[list[object], str]


def text(folder: Path, files: Files) -> Made:
    (folder / 'text.jpg').write_text('no picture')
    return [folder / 'text.jpg'], r"'.*text\.jpg' is not an image"


def empty(folder: Path, files: Files) -> Made:
    (folder / 'empty.png').touch()
    return [folder / 'empty.png'], r"'.*empty\.png' is empty, it has 0 bytes"


def cut(folder: Path, files: Files) -> Made:
    noise = np.random.default_rng(0).integers(0, 256, (99, 99, 3), np.uint8)
    cv2.imwrite(str(folder / 'whole.jpg'), noise)
    (folder / 'cut.jpg').write_bytes((folder / 'whole.jpg').read_bytes()[:700])
    return [folder / 'cut.jpg'], r'cut\.jpg.*truncated'


def all_broken(folder: Path, files: Files) -> Made:
    for name in ('a.jpg', 'b.jpg'):
        (folder / name).write_text('no picture')
    return [folder], r'nothing came out of 2 inputs: .*a\.jpg'


def missing(folder: Path, files: Files) -> Made:
    return [folder / 'none.jpg'], r"no file or folder '.*none\.jpg'"


def no_pictures(folder: Path, files: Files) -> Made:
    (folder / 'notes.txt').write_text('no picture')
    return [folder], "the folder '.*' has no pictures"


def no_match(folder: Path, files: Files) -> Made:
    return [folder / '*.tif'], r"no file fits the pattern '.*\*\.tif'"


def empty_video(folder: Path, files: Files) -> Made:
    (folder / 'clip.mp4').touch()
    return [folder / 'clip.mp4'], r"the video '.*clip\.mp4' has no frame"


def text_video(folder: Path, files: Files) -> Made:
    (folder / 'clip.avi').write_text('no video')
    return [folder / 'clip.avi'], r"the video '.*clip\.avi' has no frame"


def no_camera(folder: Path, files: Files) -> Made:
    return ['97'], "the camera '97' has no frame"


def no_stream(folder: Path, files: Files) -> Made:
    return ['file:///nowhere/clip.mp4'], "the video 'file:///nowhere/clip.mp4' has no frame"


def picture_as_video(folder: Path, files: Files) -> Made:
    cv2.imwrite(str(folder / 'a.png'), PICTURE)
    return [folder / 'a.png', '--out-format', 'video'], r"--out-format video: '.*a\.png' is no"


def float_picture(folder: Path, files: Files) -> Made:
    cv2.imwrite(str(folder / 'deep.tiff'), PICTURE[..., 0].astype(np.float32))
    return [folder / 'deep.tiff'], r'deep\.tiff.*values from 90 to 90'


def unknown_task(folder: Path, files: Files) -> Made:
    return [files.pictures, '--tasks', 'posture'], "no task 'posture' .*did you mean 'pose'"


def size_of_nothing(folder: Path, files: Files) -> Made:
    return [files.pictures, '--size', '0', '64'], 'size must be a width and a height'


def size_and_own(folder: Path, files: Files) -> Made:
    return [files.pictures, '--size', '9', '9', '--passes', 'own'], 'leave the size out'


def out_is_a_file(folder: Path, files: Files) -> Made:
    (folder / 'out').write_text('a file')
    return [files.pictures, '--out', folder / 'out'], r"--out: '.*out' is a file, not a folder"


def written_over(folder: Path, files: Files) -> Made:
    (folder / 'tall.png').touch()
    return [files.pictures, '--out', folder], r"'.*tall\.png' is there already: give --overwrite"


def no_boxes(folder: Path, files: Files) -> Made:
    (folder / 'boxes.json').write_text('{}')
    return [files.pictures, '--boxes', folder / 'boxes.json'], r"--boxes: '.*' is no COCO file"


def boxes_of_others(folder: Path, files: Files) -> Made:
    (folder / 'boxes.json').write_text('{"images": [], "annotations": []}')
    arguments = [files.pictures, '--boxes', folder / 'boxes.json']
    return arguments, r"nothing came out of 2 inputs: --boxes: '.*' has no image 'tall\.png'"


def no_detector(folder: Path, files: Files) -> Made:
    return [files.pictures, '--detector', 'a.py', 'b.pth'], r"--detector: no config 'a\.py'"


BAD = [
    text, empty, cut, all_broken, missing, no_pictures, no_match, empty_video, text_video,
    no_camera, no_stream, picture_as_video, float_picture, unknown_task, size_of_nothing,
    size_and_own, out_is_a_file, written_over, no_boxes, boxes_of_others, no_detector,
]  # fmt: skip


def said(error: pytest.ExceptionInfo[SystemExit], text: str, message: str) -> None:
    assert error.value.code == 1
    (line,) = re.findall('^error: (.*)$', text, flags=re.MULTILINE)
    assert re.search(message, line) and 'Traceback' not in text


@pytest.mark.parametrize('bad', BAD, ids=lambda bad: bad.__name__)
def test_bad_input_is_one_sentence(
    bad: Callable[[Path, Files], Made],
    files: Files,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments, message = bad(tmp_path, files)
    if '--out' not in arguments:
        arguments += ['--out', tmp_path / 'out']
    with pytest.raises(SystemExit) as error:
        predict(files.config, files.checkpoint, *arguments)
    said(error, capsys.readouterr().err, message)
    assert not (tmp_path / 'out').is_dir()


@pytest.mark.parametrize('kind', ['other', 'text', 'none', 'without'])
def test_bad_checkpoints_are_one_sentence(
    kind: str, files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / 'bad.pth'
    if kind == 'other':
        content = torch.load(files.checkpoint, weights_only=True)
        content['state_dict'] = {
            name.replace('tasks.pose', 'tasks.age'): value
            for name, value in content['state_dict'].items()
        }
        torch.save(content, file)
    elif kind == 'text':
        file.write_text('no weights')
    elif kind == 'without':
        torch.save(dict(state_dict={}), file)
    messages = dict(
        other=r"weights of the tasks \['age', 'attribute', 'parsing', 'reid'\], and the model has",
        text=r"bad\.pth' is no checkpoint",
        none=r"no checkpoint '.*bad\.pth'",
        without=r'holds no config: give the config',
    )
    config = '-' if kind == 'without' else files.config
    with pytest.raises(SystemExit) as error:
        predict(config, file, files.pictures, '--out', tmp_path / 'out')
    said(error, capsys.readouterr().err, messages[kind])


@pytest.mark.parametrize('shape', [(1, 1), (20, 20000), (20000, 20), (3, 700)])
def test_odd_sizes_come_out(files: Files, tmp_path: Path, shape: tuple[int, int]) -> None:
    """Neither a single pixel nor a strip is an error; everything is at the picture's size."""
    file = tmp_path / 'odd.png'
    cv2.imwrite(str(file), np.full((*shape, 3), 90, np.uint8))
    for passes in ('shared', 'own'):
        out = tmp_path / passes
        options = ['--out', out, '--out-format', 'png', 'json', 'coco', '--passes', passes]
        predict(files.config, files.checkpoint, file, *options)
        labels = cv2.imread(str(out / 'png' / 'parsing' / 'odd.png'), cv2.IMREAD_UNCHANGED)
        assert labels.shape[:2] == shape
        content = json.loads((out / 'predictions.jsonl').read_text())
        assert (content['height'], content['width']) == shape
