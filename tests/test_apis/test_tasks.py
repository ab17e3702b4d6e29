"""One config serves every combination of its tasks."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from toy_joint import TASKS, joint_config

from mmgradsplit.apis.preparation import prepare
from mmgradsplit.registry import MODELS

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
    cfg = prepare(ROOT / 'configs/sta/ft_r50_nyuv2_40.py', 'out', {'tasks': ['normal', 'seg']})
    assert 'dataset' in cfg.train_dataloader
    assert cfg.train_cfg.annotations == {'normal': 'gt_normal_map', 'seg': 'gt_sem_seg'}
    assert list(cfg.val_dataloader) == ['normal', 'seg']


SINGLE = {'seg/mIoU': 50.0, 'depth/delta1': 80.0, 'normal/11.25': 40.0}
NUMBERS = dict(seg=2.0, depth=3.0, normal=4.0)


@pytest.mark.parametrize(
    ('key', 'value', 'expected'),
    [
        (
            'optim_wrapper.weighting',
            dict(type='AMTLWeighting', references=SINGLE),
            dict(type='AMTLWeighting', references={'normal/11.25': 40.0, 'seg/mIoU': 50.0}),
        ),
        (
            'optim_wrapper.weighting',
            dict(type='DTPWeighting', metrics=list(SINGLE)),
            dict(type='DTPWeighting', metrics=['seg/mIoU', 'normal/11.25']),
        ),
        (
            'optim_wrapper.weighting',
            dict(type='UniformWeighting', weights=dict(seg=2.0, depth=3.0)),
            dict(type='UniformWeighting', weights=dict(seg=2.0)),
        ),
        (
            'optim_wrapper.aggregator',
            dict(type='torchjd.Constant', weights=NUMBERS),
            dict(type='torchjd.Constant', weights=dict(normal=4.0, seg=2.0)),
        ),
        (
            'train_cfg.allocator',
            dict(type='STA', size=1, weights=NUMBERS),
            dict(type='STA', size=1, weights=dict(normal=4.0, seg=2.0)),
        ),
        ('accuracies', SINGLE, {'normal/11.25': 40.0, 'seg/mIoU': 50.0}),
        (
            'custom_hooks',
            [dict(type='RelationEstimateHook', interval=5, held_out=dict(seg=dict(a=1), depth={}))],
            [dict(type='RelationEstimateHook', interval=5, held_out=dict(seg=dict(a=1)))],
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else '',
)
def test_what_is_said_by_task_is_kept_for_the_chosen_ones(
    key: str, value: Any, expected: Any
) -> None:
    kinds = {'optim_wrapper.aggregator': 'Aggregator', 'optim_wrapper.weighting': 'MultiTask'}
    options = {'tasks': ['normal', 'seg'], key: value}
    if key in kinds:
        options['optim_wrapper.type'] = f'{kinds[key]}OptimWrapper'
    found = prepare(ROOT / 'configs/sta/ft_r18_scenes.py', 'out', options)
    for part in key.split('.'):
        found = found[part]
    assert found == expected


def built(tasks: tuple[str, ...], **wrapper: Any) -> Any:
    """The optimizer wrapper of a config that is narrowed to these tasks."""
    cfg = joint_config(Path('out'), optim_wrapper=wrapper)
    cfg.tasks = list(tasks)
    cfg = prepare(cfg)
    init_default_scope('mmgradsplit')
    model = MODELS.build(cfg.model)
    return build_optim_wrapper(model, cfg.optim_wrapper)


def test_vectors_of_an_aggregator_follow_the_tasks() -> None:
    """By task, they are reduced; a list does not say which number to leave out."""
    kind = dict(type='AggregatorOptimWrapper')
    weights = dict(add=0.5, first=0.2, norm=0.3)
    chosen = ('norm', 'add')
    wrapper = built(chosen, **kind, aggregator=dict(type='torchjd.Constant', weights=weights))
    assert wrapper.tasks == list(chosen)
    assert wrapper.aggregator.weighting.weights.tolist() == pytest.approx([0.3, 0.5])
    aggregator = dict(type='torchjd.Constant', weights=[0.5, 0.2, 0.3])
    assert built(TASKS, **kind, aggregator=aggregator).tasks == list(TASKS)
    with pytest.raises(
        ValueError, match=r"aggregator\.weights .* each of the tasks \['norm', 'add"
    ):
        built(chosen, **kind, aggregator=aggregator)


def test_a_weighting_that_is_reduced_is_built() -> None:
    references = {f'{task}/accuracy': 50.0 for task in TASKS}
    weighting = dict(type='AMTLWeighting', references=references)
    wrapper = built(('norm', 'add'), type='MultiTaskOptimWrapper', weighting=weighting)
    assert wrapper.weighting.metrics == ['norm/accuracy', 'add/accuracy']


def test_tuples_stay_tuples() -> None:
    """Sizes in pipelines: mmcv takes (width, height), and mmengine writes a list otherwise."""

    def tuples(value: Any) -> list[tuple]:
        found = [value] if isinstance(value, tuple) else []
        parts = value.values() if isinstance(value, Mapping) else value
        if isinstance(value, Mapping | list | tuple):
            found += [each for part in parts for each in tuples(part)]
        return found

    path = ROOT / 'configs/sta/ft_r18_scenes.py'
    whole, narrowed = Config.fromfile(path), prepare(path, 'out', {'tasks': ['seg', 'depth']})
    for key in ('train_dataloader', 'train_cfg', 'optim_wrapper'):
        assert tuples(narrowed[key]) == tuples(whole[key])
    assert tuples(narrowed.train_dataloader)
    assert tuples(narrowed.val_dataloader) == tuples(
        [whole.val_dataloader.seg, whole.val_dataloader.depth]
    )


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
