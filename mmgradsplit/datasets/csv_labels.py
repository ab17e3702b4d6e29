"""Labels of one's own in a CSV file: attributes by column, or the classes of one column."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmpretrain.datasets import BaseDataset

from mmgradsplit.registry import DATASETS
from mmgradsplit.utils import did_you_mean

# How 0 and 1 are written, pandas' booleans and floats among them; in lower case.
NO, YES = ('0', '0.0', 'false'), ('1', '1.0', 'true')
SHOWN = 20

Row = tuple[int, dict[str, str]]
"""The number of a line, and its cells by column."""


@DATASETS.register_module()
class CSVLabels(BaseDataset):
    """Images with their labels in a CSV file, whose first line names the columns.

    Without ``column``, each of the ``classes`` is a column of 0 and 1, so an image can have several
    of them (attributes)::

        file,chimney,fence
        a.jpg,1,0
        b.jpg,1,1

    With ``column``, that column holds the name of one of the ``classes``::

        file,colour
        a.jpg,red
        b.jpg,white

    Columns that are not asked for are not read. The order of the ``classes`` is that of the
    network's outputs, whatever the order of the columns. The file is as RFC 4180 has it and Excel
    and pandas write it: commas, double quotes around a cell that holds a comma, UTF-8 with or
    without a byte order mark.

    Each sample has ``img_path`` and ``gt_label``: the indices of the attributes that it has, or of
    its class. With attributes it also has ``gt_score``, shape [number of classes], of 0 and 1.

    Args:
        ann_file: The CSV file, relative to ``data_root`` or absolute.
        classes: The attributes, which are names of columns, or the names of the classes. They may
            be given as ``metainfo=dict(classes=...)`` as well.
        column: The column of the classes.
        image_column: The column of the images' files, by default the first one.
        data_prefix: The folder that these are relative to, relative to ``data_root`` or absolute.
        **kwargs: Other arguments of mmpretrain's ``BaseDataset``: ``data_root``, ``pipeline``, ...

    Raises:
        FileNotFoundError: If the file or an image is not there.
        ValueError: If classes are not given, or the file is not as described; the message names the
            line and the column. An empty cell is an error, too: a loss would take it for a label.

    Example:
        >>> CSVLabels(
        ...     data_root='data/houses', ann_file='train.csv', data_prefix='images',
        ...     classes=['chimney', 'fence'])
    """

    def __init__(
        self,
        ann_file: str,
        classes: Sequence[str] | None = None,
        column: str | None = None,
        image_column: str | None = None,
        **kwargs: Any,
    ) -> None:
        self.column = column
        self.image_column = image_column
        super().__init__(ann_file=ann_file, classes=classes, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Read the file, and look whether the images are there."""
        if not Path(self.ann_file).is_file():
            raise FileNotFoundError(
                f'CSVLabels: no file {self.ann_file}: set ann_file to the CSV file, relative to '
                f'data_root.'
            )
        rows = self._rows()
        header = next(rows)[1]
        image_column = self.image_column or next(iter(header))
        self._check_classes([name for name in header if name != image_column], rows)
        samples, seen, missing = [], dict[str, int](), list[tuple[int, str]]()
        for line, row in rows:
            name = row[image_column]
            if not name:
                raise self._error(
                    'the cell is empty; write the name of an image', line, image_column
                )
            if name in seen:
                raise self._error(
                    f"'{name}' is there already, in line {seen[name]}; give each image one line",
                    line,
                    image_column,
                )
            seen[name] = line
            path = str(Path(self.img_prefix, name))
            if not Path(path).is_file():
                missing.append((line, path))
            samples.append(dict(img_path=path, **self._labels(line, row)))
        if missing:
            line, path = missing[0]
            raise FileNotFoundError(
                f'CSVLabels: {self.ann_file}, line {line}: no image {path} ({len(missing)} of '
                f'{len(samples)} images are missing): set data_prefix to the folder of the images; '
                f"where their names are not in the column '{image_column}', set image_column to "
                f'the one that has them.'
            )
        if not samples:
            raise ValueError(f'CSVLabels: {self.ann_file} has a header, but no line below it.')
        return samples

    def get_cat_ids(self, idx: int) -> list[int]:
        """Indices of a sample's classes, as mmpretrain's samplers of classes ask for them."""
        return np.atleast_1d(self.get_data_info(idx)['gt_label']).tolist()

    def _rows(self) -> Iterator[Row]:
        """The header, each column by its own name, and then the other lines; blank ones left out.

        A cell may hold line breaks: its line is the one that it ends in.
        """
        with open(self.ann_file, encoding='utf-8-sig', newline='') as file:
            reader = csv.reader(file, strict=True)
            header: list[str] = []
            try:
                for cells in reader:
                    cells = [cell.strip() for cell in cells]
                    if not any(cells):
                        continue
                    if not header:
                        header = cells
                        self._check_header(header, reader.line_num)
                    if len(cells) != len(header):
                        raise self._error(
                            f'{len(cells)} cells, but the header names {len(header)} columns; put '
                            f'a cell that holds a comma into double quotes',
                            reader.line_num,
                        )
                    yield reader.line_num, dict(zip(header, cells, strict=True))
            except csv.Error as error:
                raise self._error(f'this is not CSV ({error})', reader.line_num) from error
            except UnicodeDecodeError as error:
                raise ValueError(
                    f"CSVLabels: {self.ann_file} is not UTF-8 ({error}): save it as 'CSV UTF-8'."
                ) from error
        if not header:
            raise ValueError(
                f'CSVLabels: {self.ann_file} is empty: its first line must name the columns.'
            )

    def _check_header(self, header: list[str], line: int) -> None:
        twice = [name for i, name in enumerate(header) if name in header[:i]]
        if twice:
            raise self._error('two columns have this name; rename one of them', line, twice[0])
        classes = [] if self.column is not None else self.metainfo.get('classes', ())
        for key, name in (
            ('image_column', self.image_column),
            ('column', self.column),
            *(('classes', name) for name in classes),
        ):
            if name is not None and name not in header:
                hint = did_you_mean(name, header)
                raise self._error(
                    f"there is no column '{name}' ({key}) among {header}, which commas separate"
                    f'{hint}',
                    line,
                )

    def _check_classes(self, columns: list[str], rows: Iterator[Row]) -> None:
        """Refuse to guess classes: the next file may have others, or another order of columns."""
        if self.metainfo.get('classes'):
            return
        if self.column is None:
            kind, found = 'attributes', columns
        else:
            kind = f"classes of the column '{self.column}'"
            found = sorted({row[self.column] for _, row in rows})
        more = ', ...' if len(found) > SHOWN else ''
        raise ValueError(
            f'CSVLabels: set classes to the list of the {kind}, for training and validation alike; '
            f'{self.ann_file} has {str(found[:SHOWN])[:-1]}{more}].'
        )

    def _labels(self, line: int, row: Mapping[str, str]) -> dict[str, Any]:
        classes = list(self.metainfo['classes'])
        if self.column is not None:
            name = row[self.column]
            if name not in classes:
                what = f"'{name}' is" if name else 'the cell is empty, which is'
                raise self._error(
                    f'{what} none of the classes {classes}{did_you_mean(name, classes)}',
                    line,
                    self.column,
                )
            return dict(gt_label=classes.index(name))
        for name in classes:
            if row[name].lower() not in (*NO, *YES):
                what = f"'{row[name]}'" if row[name] else 'the cell is empty'
                raise self._error(
                    f'{what}; write 0 or 1, or leave the image out if it is not known', line, name
                )
        scores = np.array([row[name].lower() in YES for name in classes], dtype=np.float32)
        return dict(gt_label=np.flatnonzero(scores).tolist(), gt_score=scores)

    def _error(self, what: str, line: int, column: str | None = None) -> ValueError:
        where = f'{self.ann_file}, line {line}' + (f", column '{column}'" if column else '')
        return ValueError(f'CSVLabels: {where}: {what}')
