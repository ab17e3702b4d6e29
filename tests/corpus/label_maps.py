"""Label maps."""

import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from .case import MAPS, SEGMENTATIONS, add, array, colours, cut, pillow, pipe, same_maps, write
from .sets import HEIGHT, WIDTH, labels, save

for _name, _path in MAPS.items():
    _kind = _name.split()[0]
    add(f'{_path} cut off', _kind, cut(_path), 'decoded|NumPy|cannot be read')
    add(f'{_path} empty', _kind, write(_path, b''), '0 bytes')
    if _name != 'arrays image':
        alone = _kind in ('scenes', 'arrays', 'cityscapes')  # whose samples may lack annotations
        add(f'{_path} a pipe', _kind, pipe(_path), 'pipe', check_alone=alone)
_half = labels(2)[::2, ::2]
for _kind, _path in SEGMENTATIONS.items():
    add('labels of another size', _kind, array(_path, lambda: _half), '16 x 12.*32 x 24')
    add('labels as colours', _kind, pillow(_path, colours, format='PNG'), 'channels RGB')
    add(
        'labels as JPEG',
        _kind,
        pillow(_path, lambda: Image.fromarray(labels(2)), format='JPEG'),
        'JPEG',
    )
    add('labels beyond 255', _kind, array(_path, lambda: labels(2).astype(np.uint16) * 300), '300')
for _kind, _classes in (('lip', 20), ('scenes', 40), ('masks', 2)):
    _path = SEGMENTATIONS[_kind]
    _beyond = _classes + (_kind == 'scenes')
    add(
        'a label beyond the classes',
        _kind,
        array(_path, lambda n=_beyond: labels(2) * n),
        f'class {_classes}',
    )


def _palette(count: int, first: int = 0) -> Image.Image:
    image = Image.fromarray(labels(count, first), mode='P')
    image.putpalette([(7 * i) % 256 for i in range(768)])
    return image


add(
    'labels of a palette',
    'lip',
    pillow('labels/1.png', lambda: _palette(20), format='PNG'),
    look=same_maps('gt_sem_seg', labels(20)),
)
add(
    'labels of a palette',
    'scenes',
    pillow('segmentation/1.png', lambda: _palette(40, 1), format='PNG'),
    look=same_maps('gt_sem_seg', labels(40)),
)
add(
    'labels of a palette, 16 colours',
    'lip',
    pillow('labels/1.png', lambda: _palette(16), format='PNG', bits=4),
    look=same_maps('gt_sem_seg', labels(16)),
)
add(
    'labels of 16 bits',
    'lip',
    array('labels/1.png', lambda: labels(20).astype(np.uint16)),
    look=same_maps('gt_sem_seg', labels(20)),
)
add(
    'labels of one bit',
    'masks',
    pillow('masks/1.png', lambda: Image.fromarray(labels(2) > 0), format='PNG'),
    look=same_maps('gt_sem_seg', labels(2)),
)
add(
    'labels as TIFF',
    'lip',
    pillow('labels/1.png', lambda: Image.fromarray(labels(20)), format='TIFF'),
    look=same_maps('gt_sem_seg', labels(20)),
)


def _grey(bits: int, values: np.ndarray) -> bytes:
    """A grey PNG of a few bits, which Pillow cannot write."""
    rows = b''
    for row in values:
        text = ''.join(f'{value:0{bits}b}' for value in row)
        rows += b'\0' + bytes(int(text[i : i + 8], 2) for i in range(0, len(text), 8))

    def chunk(name: bytes, content: bytes) -> bytes:
        check = struct.pack('>I', zlib.crc32(name + content))
        return struct.pack('>I', len(content)) + name + content + check

    head = struct.pack('>IIBBBBB', WIDTH, HEIGHT, bits, 0, 0, 0, 0)
    return (
        b'\x89PNG\r\n\x1a\n'
        + chunk(b'IHDR', head)
        + chunk(b'IDAT', zlib.compress(rows))
        + chunk(b'IEND', b'')
    )


for _bits in (2, 4):
    _values = labels(2**_bits)
    add(
        f'grey labels of {_bits} bits',
        'lip',
        write('labels/1.png', _grey(_bits, _values)),
        look=same_maps('gt_sem_seg', _values),
    )
add(
    'a mask of black and white',
    'masks',
    array('masks/1.png', lambda: labels(2) * 255),
    'black and white',
)
add(
    'some pixels ignored',
    'masks',
    array('masks/1.png', lambda: np.where(np.arange(WIDTH) < 4, 255, labels(2)).astype(np.uint8)),
)
add(
    'all pixels ignored',
    'lip',
    array('labels/1.png', lambda: np.full((HEIGHT, WIDTH), 255, np.uint8)),
    'nothing is labelled',
    check_alone=True,
)


def _two_of_three(root: Path) -> str:
    for path in (root / 'labels').iterdir():
        save(path, labels(2) * 255)
    return 'train_dataloader.lip'


add('all masks black and white', 'lip', _two_of_three, 'black and white', check_alone=True)
add(
    'labels that are no whole numbers',
    'arrays',
    array('label/1.npy', lambda: labels(13) / 2),
    '0.5',
)
add('labels of -2', 'arrays', array('label/1.npy', lambda: labels(13).astype(int) - 2), '-2')
add(
    'labels of -1',
    'arrays',
    array('label/1.npy', lambda: labels(13).astype(np.int16) - 1),
    look=same_maps('gt_sem_seg', np.where(labels(13) == 0, 255, labels(13) - 1.0)),
)
add(
    'labels of NaN', 'arrays', array('label/1.npy', lambda: np.full((HEIGHT, WIDTH), np.nan)), 'nan'
)
add(
    'labels for each of several channels',
    'arrays',
    array('label/1.npy', lambda: np.zeros((HEIGHT, WIDTH, 3))),
    'shape',
)
add(
    'pickled objects',
    'arrays',
    array('label/1.npy', lambda: np.array([dict(a=1)], dtype=object)),
    'NumPy',
)
add(
    'an image from 0 to 255 as floating point',
    'arrays',
    array('image/1.npy', lambda: np.random.default_rng(0).uniform(0, 255, (HEIGHT, WIDTH, 3))),
    'from 0 to 1',
)
add(
    'an image with the channels first',
    'arrays',
    array('image/1.npy', lambda: np.zeros((3, HEIGHT, WIDTH))),
    r'\(3, 24, 32\)',
)
