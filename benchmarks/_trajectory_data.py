"""The data that the cases of the trajectories train on: small, and drawn but for four images."""

from pathlib import Path
from typing import Any

from _trajectory_cases import COCO, PERSONS, ROOMS, Case
from _trajectory_processes import ROOT, run_python

SIZES = {
    PERSONS: dict(
        attribute_train=48, attribute_val=4, attribute_test=4, reid_train_ids=4, reid_test_ids=1,
        images_per_id=12, distractors=1, pose_train=48, pose_val=4, parsing_train=48,
        parsing_val=4,
    ),
    ROOMS: dict(train=48, val=8),
}  # fmt: skip


def make_data(folder: Path) -> None:
    """Draw the data where they are absent."""
    for kind, sizes in SIZES.items():
        options = [
            part for key, size in sizes.items() for part in (f'--{key.replace("_", "-")}', size)
        ]
        run_python(ROOT / f'tools/dataset_converters/{kind}.py', '--out', folder / kind, *options)


def settings(case: Case, data: Path, coco: Path) -> dict[str, Any]:
    """What the data of a case sets in the config: where they are, and small batches.

    Args:
        case: The case.
        data: Folder of the drawn data.
        coco: Folder of the COCO images.
    """
    folder = coco if case.data == COCO else data / case.data
    here = dict(num_workers=0, persistent_workers=False)
    if case.data == PERSONS:
        sets = dict(attribute='pa100k', reid='market1501', pose='mpii', parsing='lip')
        loaders: dict[str, dict[str, Any]] = {
            task: dict(here, batch_size=4, dataset=dict(data_root=str(folder / name)))
            for task, name in sets.items()
        }
        loaders['reid']['sampler'] = dict(batch_size=4, num_instances=2)
        schedule = [
            dict(type='LinearLR', start_factor=0.1, begin=0, end=5, by_epoch=False),
            dict(type='CosineAnnealingLR', T_max=15, begin=5, end=20, by_epoch=False),
        ]
        return dict(train_dataloader=loaders, param_scheduler=schedule)
    if case.data == ROOMS:
        loader = dict(here, batch_size=4, dataset=dict(data_root=str(folder)))
        tasks = ('seg', 'depth', 'normal')
        return {
            'train_dataloader': loader,
            'val_dataloader': dict.fromkeys(tasks, loader),
        }
    return {'train_dataloader': dict(here, dataset=dict(data_root=str(folder)))}
