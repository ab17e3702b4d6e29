"""Boxes, polygons and keypoints of PASCAL VOC and COCO."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from .case import add, changed, cut, missing, pipe, write
from .sets import HEIGHT, WIDTH, write_xml

_xml = 'VOC2007/Annotations/001.xml'
add('the annotation cut off', 'voc', cut(_xml), 'not as VOCDataset reads')
add('the annotation missing', 'voc', missing(_xml), 'No such file')
add(
    'no box',
    'voc',
    write(_xml, b'<annotation><object><name>cat</name></object></annotation>'),
    'not as',
)


def _box(*box: float, **options: Any) -> Callable[[Path], Path]:
    def change(root: Path) -> Path:
        write_xml(root / _xml, box, **options)
        return root / _xml

    return change


add('a box turned round', 'voc', _box(20, 18, 4, 4), 'no area')
add('a box far away', 'voc', _box(4000, 4000, 5000, 5000), 'not in the image')
add('a box beside the image', 'voc', _box(40, 4, 50, 10), 'beside')
add(
    'a box of text',
    'voc',
    write(
        _xml,
        b'<annotation><object><name>cat</name><bndbox><xmin>a</xmin></bndbox></object></annotation>',
    ),
    'not as',
)
add('of a picture of another size', 'voc', _box(4, 4, 20, 18, size=(64, 48)), '64 x 48')
add('without a size', 'voc', _box(4, 4, 20, 18, size=None))

# COCO, for detection and for keypoints.
for _kind in ('coco', 'people'):
    add('the annotation cut off', _kind, cut('train.json'), 'not as')
    add('the annotation empty', _kind, write('train.json', b''), '0 bytes')
    add('the annotation a web page', _kind, write('train.json', b'<html>'), 'not as')
    add('the annotation a pipe', _kind, pipe('train.json'), 'pipe')
    add('a list in place of COCO', _kind, write('train.json', b'[]'), 'not as|format')


def _annotation(**values: Any) -> Callable[[Path], Path]:
    return changed(
        'train.json',
        lambda c: dict(c, annotations=[dict(c['annotations'][0], **values), *c['annotations'][1:]]),
    )


def _image(**values: Any) -> Callable[[Path], Path]:
    return changed(
        'train.json', lambda c: dict(c, images=[dict(c['images'][0], **values), *c['images'][1:]])
    )


add(
    'no images',
    'coco',
    changed('train.json', lambda c: dict(annotations=c['annotations'], categories=c['categories'])),
    'no samples',
)
add('a polygon of 1e9', 'coco', _annotation(segmentation=[[4, 4, 1e9, 4, 1e9, 1e9]]), 'polygon')
add('a polygon of -1e9', 'coco', _annotation(segmentation=[[-1e9, 4, 8, 4, 8, 8]]), 'polygon')
add(
    'a polygon of NaN', 'coco', _annotation(segmentation=[[4, 4, float('nan'), 4, 8, 8]]), 'polygon'
)
add('an odd polygon', 'coco', _annotation(segmentation=[[4, 4, 8, 4, 8, 8, 3]]), 'polygon')
add(
    'RLE of another size',
    'coco',
    _annotation(segmentation=dict(size=[5, 5], counts=[0, 25])),
    'RLE',
)
add(
    'RLE that does not add up',
    'coco',
    _annotation(segmentation=dict(size=[HEIGHT, WIDTH], counts=[0, 10**9])),
    'RLE',
)
add(
    'RLE in order',
    'coco',
    _annotation(segmentation=dict(size=[HEIGHT, WIDTH], counts=[100, 50, 618])),
)
add('of a picture of another size', 'coco', _image(width=320, height=240), '320 x 240')
add('a box of infinity', 'coco', _annotation(bbox=[4, 4, float('inf'), 9]), 'box 0')
add(
    'without a box',
    'coco',
    changed('train.json', lambda c: dict(c, annotations=[dict(id=1, image_id=0, category_id=1)])),
    "KeyError: 'bbox'",
)
add('two keypoints', 'people', _annotation(keypoints=[5, 5, 2, 10, 10, 2]), '2 keypoints')
add(
    'a keypoint far away',
    'people',
    _annotation(keypoints=[5e5, 5, 2, 10, 10, 2, 15, 12, 2]),
    'keypoint',
)
add(
    'an invisible keypoint far away',
    'people',
    _annotation(keypoints=[5e5, 5, 0, 10, 10, 2, 15, 12, 2]),
)
add('text for keypoints', 'people', _annotation(keypoints='none'), 'not as')
