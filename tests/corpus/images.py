"""Images of every data set: broken, of unusual forms, and turned by EXIF."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

from .case import IMAGES, LISTED, PLACED, add, colours, cut, folder, missing, pillow, pipe, write
from .sets import HEIGHT, labels, save

for _kind, _image in IMAGES.items():
    add('an image cut off', _kind, cut(_image), 'image')
    add('an empty image', _kind, write(_image, b''), '0 bytes')
    add('a web page', _kind, write(_image, b'<!DOCTYPE html><html>404'), 'web page')
    alone = _kind in LISTED  # which pass over what is no file when they list a folder
    add('a folder for an image', _kind, folder(_image), 'folder|no image', check_alone=alone)
    add('a pipe for an image', _kind, pipe(_image), 'pipe|no image', check_alone=alone)
for _kind in ('pa100k', 'mpii', 'voc', 'coco', 'table', 'folders'):
    add('a missing image', _kind, missing(IMAGES[_kind]), 'no such file|no image')
add(
    'a pointer of LFS',
    'pa100k',
    write(IMAGES['pa100k'], b'version https://git-lfs.github.com/spec/v1'),
    'git lfs pull',
)


def _link(root: Path) -> Path:
    path = root / IMAGES['market']
    path.unlink()
    path.symlink_to('nowhere.jpg')
    return path


add('a link to nothing', 'market', _link, 'link')


def _turned(number: int, **options: Any) -> Callable[[], dict]:
    exif = Image.Exif()
    exif[0x0112] = number
    return dict(exif=exif, format='JPEG', **options)  # type: ignore[return-value]


for _name, _make, _format in (
    ('a PNG under the name .jpg', colours, 'PNG'),
    ('grey', lambda: colours().convert('L'), 'JPEG'),
    ('CMYK', lambda: colours().convert('CMYK'), 'JPEG'),
    ('with transparency', lambda: colours().convert('RGBA'), 'PNG'),
    ('of a palette', lambda: colours().convert('P'), 'PNG'),
    ('of one bit', lambda: colours().convert('1'), 'PNG'),
):
    add(f'an image {_name}', 'pa100k', pillow(IMAGES['pa100k'], _make, format=_format))
    add(f'an image {_name}', 'lip', pillow(IMAGES['lip'], _make, format=_format))
for _kind in ('pa100k', 'market', 'table'):
    add('EXIF of a picture on its side', _kind, pillow(IMAGES[_kind], colours, **_turned(6)))
for _kind in PLACED:
    if IMAGES[_kind].endswith('.jpg'):
        add('EXIF, 180 degrees', _kind, pillow(IMAGES[_kind], colours, **_turned(3)), 'EXIF.*180')
for _kind in ('lip', 'scenes', 'voc', 'coco'):
    add(
        'EXIF, the annotation not turned',
        _kind,
        pillow(IMAGES[_kind], colours, **_turned(6)),
        'EXIF',
    )


def _shown(root: Path) -> Path:
    """A picture on its side, whose labels are of what is shown: nothing is wrong."""
    pillow(IMAGES['lip'], colours, **_turned(6))(root)
    save(root / 'labels/1.png', labels(20).T.copy())
    return root / IMAGES['lip']


add('EXIF, the label map turned as well', 'lip', _shown)
_as_stored = [
    dict(type='LoadImageFromFile', color_type='color_ignore_orientation'),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
add(
    'EXIF, read as it is stored',
    'lip',
    pillow(IMAGES['lip'], colours, **_turned(3)),
    options=dict(pipeline=_as_stored),
)
add(
    'one colour',
    'pa100k',
    pillow(IMAGES['pa100k'], lambda: Image.new('RGB', (32, 24), 'red'), format='PNG'),
    'one colour',
    check_alone=True,
)


def _square(root: Path) -> Path:
    """A square picture on its side fits its label map both ways."""
    size = (HEIGHT, HEIGHT)
    pillow(IMAGES['lip'], lambda: colours().resize(size), **_turned(6))(root)
    save(root / 'labels/1.png', labels(20)[:, :HEIGHT].copy())
    return root / IMAGES['lip']


add('EXIF, a square on its side', 'lip', _square, 'EXIF.*90')
for _kind in ('mpii', 'people'):
    # Their annotations do not say of what size the picture is.
    add('EXIF on its side', _kind, pillow(IMAGES[_kind], colours, **_turned(6)), 'EXIF.*90')
