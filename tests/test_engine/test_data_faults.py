"""A file that is not in order ends a training and a validation with task, file and value."""

import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from corpus import CASES, SETS
from corpus.sets import config
from fixtures_dense import dense_config, write_nyud
from fixtures_training import build, fails_before_the_first_step, tiny_config, write_data
from mmengine.registry import init_default_scope

from mmgradsplit.apis import train
from mmgradsplit.engine.loops.checks import check_outputs
from mmgradsplit.registry import DATASETS


def label(value: int) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        labels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        labels[3, 4] = value
        cv2.imwrite(str(path), labels)

    return change


def smaller(path: Path) -> None:
    cv2.imwrite(str(path), cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[:16])


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:60])


FAULTS: dict[str, tuple[Callable[[Path], None], str]] = {
    'a class too many': (label(4), r'pixel of class 4, but the 4 classes'),
    'another size': (smaller, r'32 x 16 pixels, but its image .* has 32 x 32'),
    'not whole': (cut, r'cannot be decoded'),
}


@pytest.mark.parametrize('split', ['train', 'val'])
@pytest.mark.parametrize('name', FAULTS)
def test_label_map(tmp_path: Path, split: str, name: str) -> None:
    damage, message = FAULTS[name]
    cfg = tiny_config(write_data(tmp_path / 'data'), ('parsing',))
    file = tmp_path / f'data/parsing/{split}_labels/7.png'
    damage(file)
    runner = build(cfg, tmp_path)
    start = rf"task 'parsing': sample \d+ \({re.escape(str(file))}\) cannot be read: .*{message}"
    with pytest.raises(ValueError, match=start):
        runner.train() if split == 'train' else runner.val()


def test_a_worker_says_it_as_well(tmp_path: Path) -> None:
    cfg = tiny_config(write_data(tmp_path / 'data'), ('parsing',), num_workers=1)
    file = tmp_path / 'data/parsing/train_labels/7.png'
    label(4)(file)
    with pytest.raises(ValueError, match=rf"task 'parsing': .*{re.escape(str(file))}.*class 4"):
        build(cfg, tmp_path).train()


def test_joint_training_names_the_task_of_the_annotation(tmp_path: Path) -> None:
    data = write_nyud(tmp_path / 'data')
    file = data / 'depth/00001.npy'
    np.save(file, np.load(file) * 1000)
    with pytest.raises(ValueError, match=rf"task 'depth': sample 1 \({re.escape(str(file))}\)"):
        train(dense_config('ft_r18_scenes', data, tmp_path / 'run'))


@pytest.mark.parametrize(
    'name', ['grey labels of 2 bits', 'grey labels of 4 bits', 'labels of a palette']
)
def test_the_first_look_takes_the_forms_that_are_read(name: str, tmp_path: Path) -> None:
    case = next(case for case in CASES if case.name == f'lip: {name}')
    SETS['lip'](tmp_path)
    labels = case.change(tmp_path)
    labels.rename(labels.with_name('0.png'))
    init_default_scope('mmgradsplit')
    dataset = DATASETS.build(config('lip', tmp_path))
    model = SimpleNamespace(decode_head=SimpleNamespace(num_classes=20))
    check_outputs(model, dataset, 'parsing', 'train_dataloader.parsing')


def test_more_identities_than_outputs(tmp_path: Path) -> None:
    cfg = tiny_config(write_data(tmp_path / 'data'), ('reid',))
    cfg.model.tasks.reid.head.num_classes = 3
    fails_before_the_first_step(
        cfg, tmp_path, ValueError,
        r'model\.tasks\.reid\.head\.num_classes is 3, but .*train_dataloader\.reid has 4 ident',
    )  # fmt: skip


def test_a_broken_annotation_file_is_named_with_its_key(tmp_path: Path) -> None:
    cfg = tiny_config(write_data(tmp_path / 'data'), ('pose',))
    file = tmp_path / 'data/pose/annotations/train.json'
    cut(file)
    fails_before_the_first_step(
        cfg, tmp_path, ValueError,
        rf'{re.escape(str(file))}: the annotations of train_dataloader\.pose\.dataset are not as',
    )  # fmt: skip
