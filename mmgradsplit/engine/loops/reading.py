"""What reading a data set goes through: checks of each sample, and files named in errors."""

import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

from mmgradsplit.registry import TRANSFORMS
from mmgradsplit.utils import SampleError, check_file

# Keys of a data set's config that name files with the annotations of all samples.
ANNOTATION_FILES = ('ann_file', 'headbox_file', 'bbox_file')
# What the toolboxes call the reading of them.
READERS = ('load_data_list', '_load_annotations', '_read_annotation')
# What the toolboxes call the file that they have in hand.
IN_HAND = ('local_path', 'filename', 'file')


def base_datasets(dataset: Any) -> Iterator[Any]:
    """The data sets that read files, inside all that joins, repeats or mixes data sets.

    Args:
        dataset: A data set of any toolbox.
    """
    inner = getattr(dataset, 'datasets', None) or [getattr(dataset, 'dataset', None)]
    if inner != [None]:
        for each in inner:
            yield from base_datasets(each)
    elif hasattr(getattr(dataset, 'pipeline', None), 'transforms'):
        yield dataset


def check_while_reading(
    dataset: Any, outputs: Mapping[str, int] | None = None, observe: Any = None
) -> None:
    """Let the pipelines of a data set check what they load.

    Args:
        dataset: A data set of any toolbox; its pipelines change.
        outputs: Number of classes of the heads, as ``numbers_of_classes`` gives it.
        observe: As for :class:`~mmgradsplit.datasets.CheckedPipeline`.
    """
    for base in base_datasets(dataset):
        base.pipeline = TRANSFORMS.build(
            dict(
                type='mmgradsplit.CheckedPipeline',
                pipeline=base.pipeline,
                metainfo=getattr(base, 'metainfo', {}),
                outputs=outputs or {},
                ann_file=getattr(base, 'ann_file', '') or '',
                observe=observe,
            )
        )


def check_annotation_files(dataset: Mapping[str, Any], key: str) -> None:
    """Refuse an annotation file that is a pipe, which would be waited for for ever, or empty.

    Args:
        dataset: Config of a data set.
        key: Its config key.

    Raises:
        ValueError: If it is one, naming the key.
    """
    for name in ANNOTATION_FILES:
        given = dataset.get(name)
        if not isinstance(given, str) or not given:
            continue
        path = Path(dataset.get('data_root') or '', given)
        if path.exists() and not path.is_dir():
            try:
                check_file(str(path))
            except SampleError as error:
                raise SampleError(f'{error.what} ({key}.{name})', error.file) from None


def broken_annotations(error: Exception, key: str) -> SampleError | None:
    """What to say of an error that reading an annotation file ended in.

    Args:
        error: The error.
        key: Config key of the data set.

    Returns:
        The error to raise instead, which names the file; None where the error names it itself, or
        is about something else.
    """
    frames = _frames(error)
    start = [i for i, frame in enumerate(frames) if frame.f_code.co_name in READERS]
    if not start or isinstance(error, SampleError | FileNotFoundError):
        return None
    path = _in_hand(frames[start[0] :]) or annotation_file(error)
    if path is None or path in str(error):
        return None
    what = f'{type(error).__name__}: {error}' if str(error) else type(error).__name__
    dataset = type(frames[start[0]].f_locals.get('self')).__name__
    return SampleError(
        f'the annotations of {key} are not as {dataset} reads them ({what}): the file is broken, '
        f'not whole, or of another form; fetch or write it again',
        path,
    )


def annotation_file(error: Exception) -> str | None:
    """The annotation file of the data set that an error came from, where it has one."""
    for frame in reversed(_frames(error)):
        path = getattr(frame.f_locals.get('self'), 'ann_file', None)
        if isinstance(path, str) and Path(path).is_file():
            return path
    return None


def _frames(error: Exception) -> list[FrameType]:
    return [frame for frame, _ in traceback.walk_tb(error.__traceback__)]


def _in_hand(frames: list[FrameType]) -> str | None:
    """The file that was being read, as the innermost function that has one calls it."""
    for frame in reversed(frames):
        for name in IN_HAND:
            path = frame.f_locals.get(name)
            if isinstance(path, str | Path) and Path(path).is_file():
                return str(path)
    return None
