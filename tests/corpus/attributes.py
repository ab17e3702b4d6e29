"""PA-100K's annotation."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import scipy.io

from .case import add, cut, pipe, write
from .sets import NUMBER, write_pa100k

_mat = 'annotation/annotation.mat'
add('the annotation cut off', 'pa100k', cut(_mat), 'MATLAB|no variable')
add('the annotation empty', 'pa100k', write(_mat, b''), '0 bytes')
add('the annotation a web page', 'pa100k', write(_mat, b'<html>'), 'web page')
add('the annotation a pipe', 'pa100k', pipe(_mat), 'pipe|no annotation file')


def _hdf5(root: Path, head: bytes = b'') -> Path:
    """The annotation as MATLAB 7.3 writes it."""
    content = scipy.io.loadmat(root / _mat)
    (root / _mat).unlink()
    with h5py.File(root / _mat, 'w', userblock_size=512) as file:
        for split in ('train', 'val', 'test'):
            file[f'{split}_label'] = content[f'{split}_label'].T
            names = [str(np.squeeze(cell)) for cell in content[f'{split}_images_name'].ravel()]
            references = np.empty((1, len(names)), dtype=h5py.ref_dtype)
            for i, name in enumerate(names):
                text = np.array([[ord(letter)] for letter in name], dtype=np.uint16)
                references[0, i] = file.create_dataset(f'#refs#/{split}{i}', data=text).ref
            file.create_dataset(f'{split}_images_name', data=references, dtype=h5py.ref_dtype)
    with (root / _mat).open('r+b') as file:
        file.write(b'MATLAB 7.3 MAT-file, Platform: GLNXA64'.ljust(124) + b'\0\2IM')
    return root / _mat


def _attributes(values: np.ndarray, extra: int = 0) -> Callable[[Path], Path]:
    def change(root: Path) -> Path:
        names = [f'{i:06d}.jpg' for i in range(NUMBER + extra)]
        write_pa100k(root, names, values)
        # Of a name too many, its image is what is not there.
        return root / (f'release_data/release_data/{names[-1]}' if extra else _mat)

    return change


def _diagonal(samples: list[dict]) -> bool:
    return [sample['data_samples'].gt_label.tolist() for sample in samples] == [[0], [1], [2]]


add('MATLAB 7.3', 'pa100k', _hdf5, look=_diagonal)


def _hdf5_cut(root: Path) -> Path:
    _hdf5(root)
    return cut(_mat)(root)


add('MATLAB 7.3 cut off', 'pa100k', _hdf5_cut, 'MATLAB')
_eye = np.eye(NUMBER, 26, dtype=np.int8)
add('labels of -1 and 1', 'pa100k', _attributes(2 * _eye - 1), look=_diagonal)
add('labels of 1 and 2', 'pa100k', _attributes(_eye + 1), r'\[1, 2\]')
add('labels of -1, 0 and 1', 'pa100k', _attributes(_eye - np.roll(_eye, 3, 1)), r'\[-1, 0, 1\]')
add('other attributes', 'pa100k', _attributes(_eye[:, :9]), r'\(3, 9\)')
add('an image too many', 'pa100k', _attributes(np.eye(NUMBER + 1, 26), 1), 'no such file')
