"""One config serves every combination of its tasks."""

from pathlib import Path

import pytest
from mmengine.config import Config

from mmgradsplit.apis.preparation import prepare

ROOT = Path(__file__).resolve().parents[2]
FOUR = ROOT / 'configs/gradsplit/r50gn_4task.py'


def test_only_the_chosen_tasks_are_left_in_their_order() -> None:
    cfg = prepare(FOUR, 'out', {'tasks': ['parsing', 'reid']})
    assert cfg.model.order == list(cfg.model.tasks) == ['parsing', 'reid']
    for key in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        assert list(cfg[key]) == ['parsing', 'reid']
    assert list(cfg.val_evaluator) == list(cfg.test_evaluator) == ['parsing', 'reid']
    for references in (cfg.val_cfg.references, cfg.test_cfg.references):
        assert references == {'reid/mAP': 81.1, 'parsing/mIoU': 45.6}


def test_joint_training_has_one_dataloader_and_the_fields_of_the_chosen_tasks() -> None:
    cfg = prepare(ROOT / 'configs/sta/sta_r50_nyuv2_40.py', 'out', {'tasks': ['normal', 'seg']})
    assert 'dataset' in cfg.train_dataloader
    assert cfg.train_cfg.annotations == {'normal': 'gt_normal_map', 'seg': 'gt_sem_seg'}
    assert list(cfg.val_dataloader) == ['normal', 'seg']


def test_a_weighting_keeps_what_belongs_to_the_chosen_tasks() -> None:
    references = {'seg/mIoU': 50.0, 'depth/delta1': 80.0, 'normal/11.25': 40.0}
    for weighting, expected in (
        (
            dict(type='AMTLWeighting', references=references),
            dict(references={'seg/mIoU': 50.0, 'normal/11.25': 40.0}),
        ),
        (
            dict(type='DTPWeighting', metrics=list(references)),
            dict(metrics=['seg/mIoU', 'normal/11.25']),
        ),
        (
            dict(type='UniformWeighting', weights=dict(seg=2.0, depth=3.0)),
            dict(weights=dict(seg=2.0)),
        ),
    ):
        options = {'tasks': ['seg', 'normal'], 'model.weighting': weighting}
        cfg = prepare(ROOT / 'configs/sta/ft_r18_scenes.py', 'out', options)
        assert cfg.model.weighting == dict(weighting, **expected)


def test_a_dumped_config_can_be_narrowed(tmp_path: Path) -> None:
    prepare(FOUR, 'out').dump(tmp_path / 'dumped.py')
    whole = prepare(tmp_path / 'dumped.py')
    assert whole.model.order == ['attribute', 'reid', 'pose', 'parsing']
    assert prepare(tmp_path / 'dumped.py', cfg_options={'tasks': ['pose']}).model.order == ['pose']


def test_an_inheriting_config_chooses_tasks(tmp_path: Path) -> None:
    path = tmp_path / 'pose.py'
    path.write_text(f"_base_ = '{FOUR}'\ntasks = ['pose']\n")
    assert list(prepare(path).model.tasks) == ['pose']


def test_a_config_without_the_key_keeps_all_tasks() -> None:
    cfg = Config(dict(model=dict(type='MultiTaskModel', tasks=dict(b=dict(), a=dict()))))
    assert prepare(cfg, 'out').model.order == ['b', 'a']


@pytest.mark.parametrize(
    ('tasks', 'words'),
    [
        (['pose', 'parsng'], "no task 'parsng'.*did you mean 'parsing'"),
        (['pose', 'pose'], 'different names'),
        ('pose', 'must be a list'),
    ],
)
def test_tasks_that_do_not_fit(tasks: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        prepare(FOUR, 'out', {'tasks': tasks})
