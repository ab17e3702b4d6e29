"""MPII whose head boxes are those of the people, whatever the order of the two files."""

from typing import Any

from mmgradsplit.registry import DATASETS


@DATASETS.register_module()
def MPII(headbox_file: str | None = None, **kwargs: Any) -> Any:
    """Make mmpose's ``MpiiDataset``, which here pairs people and head boxes by what they are of.

    mmpose pairs the n-th person of the list with the n-th head box, so a list that was cut or
    shuffled gives another PCKh without a word. Here a person has the box whose joints
    (``pos_gt_src``) are the person's. Of a file of boxes alone, as many as there are people, the
    boxes must be where the heads are.

    Args:
        headbox_file: The MATLAB file with the head boxes, relative to ``data_root`` or absolute.
        **kwargs: Other arguments of mmpose's ``MpiiDataset``.

    Returns:
        The data set.

    Raises:
        ValueError: If ``headbox_file`` is no name, the file is not as described, or the boxes are
            of other people.
    """
    if headbox_file is not None and (not isinstance(headbox_file, str) or not headbox_file):
        raise ValueError(f'headbox_file must be the name of a file, or None, got {headbox_file!r}')
    # Importing mmpose takes a second, which trainings without pose do without.
    from .mpii_people import MPIIPeople

    return MPIIPeople(headbox_file=headbox_file, **kwargs)
