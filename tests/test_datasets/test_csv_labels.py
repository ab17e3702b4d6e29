"""Labels in CSV files: what is read, and the sentence for what cannot be."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.registry import init_default_scope

from mmgradsplit.datasets import CSVLabels
from mmgradsplit.registry import DATASETS

ATTRIBUTES = ['hat', 'bag, large']
COLOURS = ['red', 'white']


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ('a.png', 'b.png', 'c.png'):
        assert cv2.imwrite(str(tmp_path / name), np.zeros((8, 8, 3), np.uint8))
    return tmp_path


def read(folder: Path, text: str | bytes, **options: object) -> CSVLabels:
    content = text if isinstance(text, bytes) else text.encode()
    (folder / 'labels.csv').write_bytes(content)
    options = {'classes': ATTRIBUTES, **options}
    return CSVLabels(ann_file='labels.csv', data_root=str(folder), **options)


def labels(dataset: CSVLabels) -> dict[str, object]:
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    return {Path(info['img_path']).name: info['gt_label'] for info in infos}


@pytest.mark.parametrize(
    'text',
    [
        'file,hat,"bag, large"\na.png,1,0\nb.png,0,0\nc.png,1,1\n',
        # The order of the columns, and columns that nobody asked for, do not matter.
        'file,"bag, large",note,hat\na.png,0,"two\nlines",1\nb.png,0,,0\nc.png,1,"""x""",1\n',
        # Excel: a byte order mark, CR LF, empty rows of commas at the end, no last line break.
        b'\xef\xbb\xbffile,hat,"bag, large"\r\na.png,1,0\r\nb.png,0,0\r\nc.png,1,1\r\n,,\r\n,,',
        # pandas writes booleans, and floats where another row was empty.
        'file,hat,"bag, large"\na.png,True,0.0\n\nb.png,False,0.0\nc.png,True,1.0\n',
        'file, hat,"bag, large"\n a.png , 1, 0\nb.png,0,0\nc.png,1,1\n',
    ],
    ids=['plain', 'columns', 'excel', 'pandas', 'spaces'],
)  # fmt: skip
def test_attributes_are_columns(folder: Path, text: str | bytes) -> None:
    dataset = read(folder, text)
    assert labels(dataset) == {'a.png': [0], 'b.png': [], 'c.png': [0, 1]}
    scores = [dataset.get_data_info(i)['gt_score'] for i in range(3)]
    assert np.array_equal(scores, [[1, 0], [0, 0], [1, 1]])
    assert list(dataset.metainfo['classes']) == ATTRIBUTES
    assert [dataset.get_cat_ids(i) for i in range(3)] == [[0], [], [0, 1]]


def test_classes_are_the_cells_of_a_column(folder: Path) -> None:
    dataset = read(
        folder,
        'id,colour,file\n7,white,a.png\n8,red,b.png\n9,white,c.png\n',
        classes=COLOURS,
        column='colour',
        image_column='file',
    )
    assert labels(dataset) == {'a.png': 1, 'b.png': 0, 'c.png': 1}
    assert 'gt_score' not in dataset.get_data_info(0)
    assert dataset.get_cat_ids(0) == [1]
    assert list(dataset.metainfo['classes']) == COLOURS


def test_the_pipeline_gets_the_labels(folder: Path) -> None:
    (folder / 'labels.csv').write_text('file,hat\na.png,1\n')
    init_default_scope('mmgradsplit')
    dataset = DATASETS.build(
        dict(
            _scope_='mmpretrain',
            type='mmgradsplit.CSVLabels',
            ann_file=str(folder / 'labels.csv'),
            data_prefix=str(folder),
            metainfo=dict(classes=['hat']),
            pipeline=[dict(type='LoadImageFromFile'), dict(type='PackInputs')],
        )
    )
    sample = dataset[0]
    assert sample['inputs'].shape == (3, 8, 8)
    assert sample['data_samples'].gt_score.tolist() == [1.0]
    assert sample['data_samples'].gt_label.tolist() == [0]


HEADER = 'file,hat,"bag, large"\n'


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('', 'labels.csv is empty: its first line must name the columns'),
        (HEADER, 'labels.csv has a header, but no line below it'),
        (HEADER + 'a.png,1,0\nb.png,1\n', 'line 3: 2 cells, but the header names 3 columns'),
        (HEADER + 'a.png,1,0,1\n', 'line 2: 4 cells, but the header names 3 columns'),
        (HEADER + 'a.png,1,\n', "line 2, column 'bag, large': the cell is empty; write 0 or 1"),
        (HEADER + 'a.png,-1,0\n', "line 2, column 'hat': '-1'; write 0 or 1"),
        (HEADER + ',1,0\n', "line 2, column 'file': the cell is empty; write the name"),
        (
            HEADER + 'a.png,1,0\nb.png,1,0\na.png,1,0\n',
            "line 4, column 'file': 'a.png' is there already, in line 2",
        ),
        ('file,hat,hat\na.png,1,0\n', "line 1, column 'hat': two columns have this name"),
        (
            'file,Hat,"bag, large"\n',
            r"line 1: there is no column 'hat' \(classes\) among .*did you mean 'Hat'\?",
        ),
        ('file;hat;bag\na.png;1;0\n', r"among \['file;hat;bag'\], which commas separate"),
        (HEADER + 'a.png,"1,0\n', r'line 2: this is not CSV'),
        ('file,hat,"bag, large"\nä.png,1,0\n'.encode('latin-1'), "is not UTF-8 .*'CSV UTF-8'"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_attributes(folder: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message) as raised:
        read(folder, text)
    assert str(raised.value).startswith(f'CSVLabels: {folder}/labels.csv')


@pytest.mark.parametrize(
    ('text', 'options', 'message'),
    [
        ('file,colour\na.png,rde\n', {}, "line 2, column 'colour': 'rde' is none of .*mean 'red'"),
        ('file,colour\na.png,\n', {}, "line 2, column 'colour': the cell is empty, which is none"),
        ('file,color\na.png,red\n', {}, r"no column 'colour' \(column\).*did you mean 'color'"),
        ('file,colour\n', dict(image_column='name'), r"no column 'name' \(image_column\)"),
        (
            'file,colour\na.png,red\nb.png,blue\n',
            dict(classes=None),
            r"set classes to the list of the classes of the column 'colour'.*has "
            r"\['blue', 'red'\]",
        ),
        (
            'file,hat,bag\na.png,1,0\n',
            dict(classes=None, column=None),
            r"set classes to the list of the attributes.*has \['hat', 'bag'\]",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_with_classes(
    folder: Path, text: str, options: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        read(folder, text, **{'column': 'colour', 'classes': COLOURS, **options})


def test_missing_files_are_named(folder: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r'no file .*train.csv: set ann_file'):
        CSVLabels(ann_file='train.csv', data_root=str(folder), classes=ATTRIBUTES)
    # pandas' index became the first column.
    text = ',file,hat,"bag, large"\n0,a.png,1,0\n1,b.png,1,0\n'
    with pytest.raises(
        FileNotFoundError, match=r'line 2: no image .*/0 \(2 of 2 images .*set image_column to'
    ):
        read(folder, text)
    with pytest.raises(FileNotFoundError, match=r'line 3: no image .*/z.png \(1 of 2 images'):
        read(folder, HEADER + 'a.png,1,0\nz.png,1,0\n')
