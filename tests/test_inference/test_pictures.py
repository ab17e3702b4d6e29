"""Pictures of every kind come out as they are shown."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from mmgradsplit.utils import read_image

PHOTOS = sorted((Path(__file__).parents[3] / 'shared' / 'data').glob('*_sample/*.jpg'))
# Red left, green right, blue below: no two turns look alike.
PICTURE = np.zeros((20, 30, 3), np.uint8)
PICTURE[:10, :15], PICTURE[:10, 15:], PICTURE[10:] = (0, 0, 250), (0, 240, 0), (230, 0, 0)


def rgb(picture: np.ndarray = PICTURE) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(picture[..., ::-1]))


def test_a_file_an_array_and_a_pil_image_are_the_same(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / 'a.png'), PICTURE)
    for given in (tmp_path / 'a.png', str(tmp_path / 'a.png'), PICTURE, rgb()):
        np.testing.assert_array_equal(read_image(given), PICTURE)


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('suffix', ['jpg', 'png', 'webp'])
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int, suffix: str) -> None:
    """What is stored is turned so that it is shown upright; OpenCV says the same of a JPEG."""
    # How each orientation has to be undone, by numpy alone.
    undo = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, -1),
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: np.rot90(a),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = tmp_path / f'turned.{suffix}'
    options = dict(quality=95, subsampling=0) if suffix == 'jpg' else dict(lossless=True)
    rgb().save(file, exif=exif, **options)
    shown = read_image(file)
    expected = undo(PICTURE)
    assert shown.shape == expected.shape
    assert np.abs(shown.astype(int) - expected).mean() < 5
    if suffix == 'jpg':
        np.testing.assert_array_equal(shown, cv2.imread(str(file)))


def test_grey_palette_and_transparency(tmp_path: Path) -> None:
    grey = PICTURE.mean(2).astype(np.uint8)
    cv2.imwrite(str(tmp_path / 'grey.png'), grey)
    expected = np.repeat(grey[..., None], 3, axis=2)
    np.testing.assert_array_equal(read_image(tmp_path / 'grey.png'), expected)
    np.testing.assert_array_equal(read_image(grey), expected)
    rgb().quantize(8).save(tmp_path / 'palette.png')
    np.testing.assert_array_equal(read_image(tmp_path / 'palette.png'), PICTURE)
    alpha = np.full((20, 30), 255, np.uint8)
    alpha[:5], alpha[5] = 0, 128
    cv2.imwrite(str(tmp_path / 'rgba.png'), np.dstack([PICTURE, alpha]))
    for given in (tmp_path / 'rgba.png', np.dstack([PICTURE, alpha])):
        shown = read_image(given)
        np.testing.assert_array_equal(shown[6:], PICTURE[6:])
        assert (shown[:5] == 255).all()  # white where nothing is
        np.testing.assert_allclose(shown[5], PICTURE[5] * (128 / 255) + 127, atol=1)


@pytest.mark.parametrize('channels', [1, 3])
def test_sixteen_bits_are_scaled(tmp_path: Path, channels: int) -> None:
    picture = PICTURE if channels == 3 else PICTURE[..., :1]
    cv2.imwrite(str(tmp_path / 'deep.png'), picture.astype(np.uint16) * 257)
    expected = np.broadcast_to(picture, PICTURE.shape)
    np.testing.assert_array_equal(read_image(tmp_path / 'deep.png'), expected)
    np.testing.assert_array_equal(read_image(picture.astype(np.uint16) * 257), expected)


@pytest.mark.parametrize('dtype', [np.float16, np.float32, np.float64])
def test_floating_point_from_0_to_1(dtype: type) -> None:
    np.testing.assert_array_equal(read_image((PICTURE / 255).astype(dtype)), PICTURE)


@pytest.mark.parametrize(
    ('given', 'message'),
    [
        (PICTURE.astype(np.float32), 'values from 0 to 250'),
        (PICTURE.astype(np.int64), 'array of int64'),
        (np.full((4, 4), np.nan), 'from nan to nan'),
        (-np.ones((4, 4)), 'from -1 to -1'),
        (PICTURE.transpose(2, 0, 1), r'\(3, 20, 30\)'),
        (PICTURE[None], r'given as a list'),
        (np.zeros((0, 4, 3), np.uint8), r'\(0, 4, 3\)'),
        (np.zeros((4, 4, 3), bool), 'array of bool'),
    ],
)
def test_what_an_array_may_mean_is_not_guessed(given: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_image(given)


def test_broken_files_are_named(tmp_path: Path) -> None:
    text, empty, cut = (tmp_path / f'{name}.jpg' for name in ('text', 'empty', 'cut'))
    text.write_text('no picture')
    empty.touch()
    rgb(np.random.default_rng(0).integers(0, 255, (99, 99, 3), np.uint8)).save(tmp_path / 'a.jpg')
    cut.write_bytes((tmp_path / 'a.jpg').read_bytes()[:900])
    for file, message in {
        text: 'is not an image that Pillow can read',
        empty: '0 bytes',
        cut: 'cannot be read as an image: .*truncated',
    }.items():
        with pytest.raises(ValueError, match=rf'{file.name}.*{message}'):
            read_image(file)
    with pytest.raises(FileNotFoundError, match=r'nowhere\.png'):
        read_image('nowhere.png')
    with pytest.raises(TypeError, match='not a dict'):
        read_image({})  # type: ignore[arg-type]


@pytest.mark.skipif(not PHOTOS, reason='no ../shared/data')
def test_photographs_are_read_as_in_training() -> None:
    for photo in PHOTOS:
        np.testing.assert_array_equal(read_image(photo), cv2.imread(str(photo)))
