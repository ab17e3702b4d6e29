"""What lies in the folders of a data set and is passed over when they are listed."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmgradsplit.utils import SampleError, check_file
from mmgradsplit.utils.data_files import MISMATCHED

from .readings import Finding

IMAGE, LABELS = 'img_path', 'seg_map_path'


def strays(dataset: Any) -> Iterator[Finding]:
    """Find what mmseg's data sets, and ours of several annotations, pass over without a word.

    These list the files of folders. A pipe or a folder in the place of one is no file, and an
    annotation without an image belongs to nothing.

    Args:
        dataset: A data set; one that does not list folders has no strays.
    """
    prefixes = getattr(dataset, 'data_prefix', None)
    if not isinstance(prefixes, Mapping) or not hasattr(dataset, 'img_suffix'):
        return
    suffixes = getattr(dataset, 'suffixes', None) or {
        IMAGE: dataset.img_suffix, LABELS: dataset.seg_map_suffix
    }  # fmt: skip
    found = {
        kind: dict(_listed(Path(prefixes[kind]), suffix))
        for kind, suffix in suffixes.items()
        if prefixes.get(kind) and '://' not in prefixes[kind]
    }
    for files in found.values():
        for path in files.values():
            try:
                check_file(str(path))
            except SampleError as error:
                yield Finding(error.kind, str(path), error.what)
    if getattr(dataset, 'ann_file', ''):
        return  # the list says which of the files are meant
    images = found.get(IMAGE, {})
    for files in found.values():
        for name, path in files.items():
            if name not in images:
                what = f'it has no image {Path(prefixes[IMAGE], name + suffixes[IMAGE])}'
                yield Finding(MISMATCHED, str(path), what)


def _listed(folder: Path, suffix: str) -> Iterator[tuple[str, Path]]:
    """Name, without the suffix, and path of all that a folder has under names that end so."""
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith('.')]
        for name in sorted(files + folders):
            if name.endswith(suffix) and not name.startswith('.'):
                path = Path(place, name)
                yield str(path.relative_to(folder))[: -len(suffix)], path
