"""What is looked at, by which name, and in which order."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from mmgradsplit.inference import find_inputs
from mmgradsplit.inference.images import Still, Video

PICTURE = np.full((8, 12, 3), 90, np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ('b.png', 'a.jpg', 'inner/a.jpg', 'inner/deep/c.bmp', '.hidden/d.png', '.e.png'):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), PICTURE)
    (tmp_path / 'notes.txt').write_text('no picture')
    return tmp_path


def names(inputs: object) -> list[str]:
    return [each.name for each in find_inputs(inputs)]


def test_a_folder_is_searched_with_its_folders(folder: Path) -> None:
    found = find_inputs(folder)
    relative = [os.path.relpath(each.source, folder) for each in found]
    assert relative == ['a.jpg', 'b.png', 'inner/a.jpg', 'inner/deep/c.bmp']
    assert [each.name for each in found] == ['a.jpg', 'b', 'inner_a.jpg', 'c']


def test_patterns(folder: Path) -> None:
    assert names(f'{folder}/*.png') == ['b']
    assert names(f'{folder}/**/*.jpg') == ['a.jpg', 'inner_a.jpg']
    with pytest.raises(FileNotFoundError, match=r'fits the pattern.*\*\.tif'):
        find_inputs(f'{folder}/*.tif')
    # A file whose name looks like a pattern is a file.
    odd = folder / 'x[1].png'
    cv2.imwrite(str(odd), PICTURE)
    assert [each.source for each in find_inputs(odd)] == [str(odd)]


def test_no_two_names_are_alike(folder: Path) -> None:
    for name in ('b.jpg', 'B.PNG', 'inner_a.jpg'):
        cv2.imwrite(str(folder / name), PICTURE)
    given = [folder, folder / 'b.png', PICTURE, PICTURE, 'rtsp://host/b']
    found = names(given)
    assert len({name.casefold() for name in found}) == len(found) == 11
    assert not any('/' in name or '\\' in name for name in found)


def test_lists_may_be_mixed(folder: Path) -> None:
    found = find_inputs([PICTURE, folder / 'b.png', Image.fromarray(PICTURE), 0, 'rtsp://host/x'])
    assert [type(each) for each in found] == [Still, Still, Still, Video, Video]
    assert [each.source for each in found[2:]] == ['input 2', '0', 'rtsp://host/x']
    for still in found[:3]:
        (frame,) = still.frames()
        np.testing.assert_array_equal(frame.image, PICTURE)


def test_a_video_has_frames(tmp_path: Path) -> None:
    file = tmp_path / 'clip.mp4'
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*'mp4v'), 5, (64, 48))
    for level in (10, 120, 240):
        writer.write(np.full((48, 64, 3), level, np.uint8))
    writer.release()
    (video,) = find_inputs(str(file))
    assert isinstance(video, Video) and len(video) == 3 and video.rate == 5
    frames = list(video.frames())
    assert [frame.name for frame in frames] == [f'clip_00000{i}' for i in range(3)]
    assert [round(float(frame.image.mean()), -1) for frame in frames] == [10, 120, 240]


@pytest.mark.parametrize(
    ('given', 'error', 'message'),
    [
        ('nowhere.png', FileNotFoundError, "no file or folder 'nowhere.png'"),
        ([], ValueError, 'no input'),
        (None, TypeError, 'not a NoneType'),
        (True, TypeError, 'not a bool'),
        ([[PICTURE]], TypeError, 'not a list'),
    ],
)
def test_what_cannot_be_looked_at(given: object, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        find_inputs(given)


def test_a_folder_without_pictures(tmp_path: Path) -> None:
    (tmp_path / 'notes.txt').write_text('no picture')
    with pytest.raises(ValueError, match='has no pictures'):
        find_inputs(tmp_path)
