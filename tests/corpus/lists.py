"""Market-1501's names, lists of classes, tables, and odd names."""

import shutil
from collections.abc import Callable
from pathlib import Path

from .case import IMAGES, add, changed, pipe, write
from .sets import picture

add(
    'a class too many', 'folders', write('train.txt', b'0.png 0\n1.png 3\n'), '3, but the 3 classes'
)
add('a class of -1', 'folders', write('train.txt', b'0.png 0\n1.png -1\n'), '-1, but the 3 classes')
add('a line without a class', 'folders', write('train.txt', b'0.png 0\n1.png\n'), 'not as')
add('a pipe for the list', 'folders', pipe('train.txt'), 'pipe')
add('a byte order mark', 'table', write('train.csv', b'\xef\xbb\xbffile,hat,bag\r\n0.jpg,1,0\r\n'))
add(
    'a table that is not UTF-8',
    'table',
    write('train.csv', b'file,hat,bag\n\xe9.jpg,1,0\n'),
    'UTF-8',
)
add('a table of semicolons', 'table', write('train.csv', b'file;hat;bag\n0.jpg;1;0\n'), 'commas')
add('an empty cell', 'table', write('train.csv', b'file,hat,bag\n0.jpg,,0\n'), 'empty')
add('a label of 2', 'table', write('train.csv', b'file,hat,bag\n0.jpg,2,0\n'), "'2'")
add(
    'an image twice',
    'table',
    write('train.csv', b'file,hat,bag\n0.jpg,1,0\n0.jpg,1,0\n'),
    'there already',
)
add('a pipe for the table', 'table', pipe('train.csv'), 'pipe|no file')

# Names.
ODD_NAME = "l'été 数据 x&y"


def _renamed(*paths: str) -> Callable[[Path], Path]:
    def change(root: Path) -> Path:
        for path in map(Path, paths):
            old, new = path.name.split('.')[0], ODD_NAME
            (root / path).rename((root / path).with_name(path.name.replace(old, new, 1)))
        return root

    return change


add('odd names', 'lip', _renamed('images/1.jpg', 'labels/1.png'))
add(
    'odd names',
    'scenes',
    _renamed('images/1.jpg', 'segmentation/1.png', 'depth/1.npy', 'normals/1.npy'),
)


def _odd_row(root: Path) -> Path:
    picture(root / f'images/{ODD_NAME}.jpg', 7)
    (root / 'train.csv').write_text(f'file,hat,bag\n{ODD_NAME}.jpg,1,0\n', encoding='utf-8')
    return root


def _odd_image(root: Path) -> Path:
    picture(root / f'images/{ODD_NAME}.jpg', 7)
    return changed(
        'train.json',
        lambda c: dict(c, images=[dict(c['images'][0], file_name=f'{ODD_NAME}.jpg')]),
    )(root)


add('odd names', 'table', _odd_row)
add('odd names', 'coco', _odd_image)

# Market-1501.
for _kind, _image in (
    ('market', IMAGES['market']),
    ('lip', IMAGES['lip']),
    ('scenes', IMAGES['scenes']),
):

    def _resource_fork(root: Path, image: str = _image) -> Path:
        path = root / image
        path.with_name(f'._{path.name}').write_bytes(b'\0\5\26\7' + bytes(100))
        return path

    add('._ files of macOS', _kind, _resource_fork)
add(
    'a name without an identity',
    'market',
    lambda root: shutil.copy(root / IMAGES['market'], root / 'bounding_box_train/photo.jpg'),
    'identity and a camera',
)
add('a Thumbs.db', 'market', write('bounding_box_train/Thumbs.db', b'x'))
