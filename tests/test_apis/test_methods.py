"""Methods by name: their files, what they replace in a config, and what they need of it."""

import copy
import functools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from toy_joint import TASKS, ToyScenes, joint_config

from mmgradsplit.apis.methods import load_method, method_names, needs_validation, use_method
from mmgradsplit.apis.preparation import prepare
from mmgradsplit.optim.aggregation.aggregators import known_aggregators
from mmgradsplit.optim.weightings import scalarizers
from mmgradsplit.registry import ALLOCATORS, MODELS

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
NAMES = method_names()
SINGLE = {f'{task}/accuracy': 50.0 + i for i, task in enumerate(TASKS)}
OPTIMIZER = dict(type='SGD', lr=0.02, momentum=0.9)
KEPT = dict(
    optimizer=OPTIMIZER,
    paramwise_cfg=dict(norm_decay_mult=0.0),
    accumulative_counts=2,
    clip_grad=dict(max_norm=5.0),
    base=dict(type='AmpOptimWrapper', loss_scale='dynamic'),
)
RELATIONS = [[0, -1, 0], [0, 0, -1], [-1, 0, 0]]


@functools.cache
def read(name: str) -> Config:
    return Config.fromfile(CONFIGS / f'{name}.py')


def config(**wrapper: Any) -> Config:
    """Joint training of the toy by everything that a method may set, with GradSplit's mask."""
    cfg = joint_config(Path('unused'))
    cfg.optim_wrapper = dict(
        type='GradSplitOptimWrapper',
        relations='none',
        modules=['conv'],
        optimizers='shared',
        update='iteration',
        aggregator=dict(type='torchjd.MGDA'),
        drop_grad=0.25,
        weighting=dict(type='torchjd.UW'),
        **{**dict(optimizer=OPTIMIZER), **wrapper},
    )
    cfg.train_cfg.allocator = dict(type='STA', size=2)
    cfg.relations, cfg.accuracies = RELATIONS, SINGLE
    return cfg


def in_turn() -> Config:
    cfg = config()
    cfg.train_dataloader = dict.fromkeys(TASKS, cfg.train_dataloader)
    cfg.train_cfg = dict(type='RoundRobinTrainLoop', max_epochs=2, iters_per_epoch=3)
    return cfg


# ---- the files ----


@pytest.mark.parametrize('name', NAMES)
def test_a_file_says_what_its_method_is(name: str) -> None:
    path = CONFIGS / '_base_' / 'methods' / f'{name}.py'
    comment = re.match(r'(# .+\n)+', path.read_text())
    assert comment and comment.group().count('\n') <= 2
    method = load_method(name)
    assert method and {*method} <= {'optim_wrapper', 'train_cfg'}
    # Nothing of what stays of a config under another method.
    assert not {*method.get('optim_wrapper', {})} & {*KEPT, 'constructor'}
    assert {*method.get('train_cfg', {})} <= {'allocator'}


def test_values() -> None:
    """Those of a few, as they were when they were in one dictionary."""
    aggregated: dict[str, Any] = dict(type='AggregatorOptimWrapper')
    weighted: dict[str, Any] = dict(type='MultiTaskOptimWrapper')
    split: dict[str, Any] = dict(type='GradSplitOptimWrapper')
    uw, imtl_g = dict(type='torchjd.UW', start=-0.5), dict(type='torchjd.IMTLG')
    pcgrad = dict(type='torchjd.PCGrad')
    ista = dict(allocator=dict(type='mmgradsplit.ISTA'))
    wrappers = dict(
        uniform=weighted,
        uw=dict(weighted, weighting=uw),
        stch=dict(weighted, weighting=dict(type='torchjd.STCH', mu=1.0)),
        gradnorm=dict(weighted, weighting=dict(type='GradNormWeighting')),
        amtl_arithmetic=dict(weighted, weighting=dict(type='AMTLWeighting', form='arithmetic')),
        gradnorm_sgd=dict(
            weighted, weighting=dict(type='GradNormWeighting', lr=None, momentum=0.1)
        ),
        mgda_ub=dict(
            aggregated, aggregator=dict(type='torchjd.MGDA'), on='features', heads='weighted'
        ),
        mgda_normalised=dict(
            aggregated, aggregator=dict(type='torchjd.MGDA'), on='backbone', heads='weighted',
            normalise='loss+',
        ),
        pcgrad=dict(aggregated, aggregator=pcgrad, on='backbone'),
        pcgrad_last_layer=dict(aggregated, aggregator=pcgrad, on=['*layer4']),
        pcgrad_mean=dict(aggregated, aggregator=pcgrad, on='backbone', mean=True),
        pcgrad_uw=dict(aggregated, aggregator=pcgrad, on='backbone', weighting=uw),
        cagrad=dict(aggregated, aggregator=dict(type='torchjd.CAGrad', c=0.5), on='backbone'),
        imtl=dict(
            aggregated, aggregator=imtl_g, on='last_layer', whole_loss=True, heads='own',
            weighting=dict(type='torchjd.IMTLL'),
        ),
        cosreg=dict(type='CosRegOptimWrapper', weight=1.0),
        dropgrad=dict(
            split, relations='all', modules=['*layer4'], optimizers='shared', drop_grad=0.5
        ),
        multihead_gradnorm=dict(
            split, relations='all', modules=[], optimizers='separate', update='step',
            weighting=dict(type='GradNormWeighting', layer=['*layer4'], normalise='own'),
        ),
        multihead=dict(
            split, relations='all', modules=[], optimizers='separate', update='step'
        ),
        gradsplit=dict(
            split, threshold=-0.01, modules=['layer4'], optimizers='separate', update='step'
        ),
        gradsplit_summed=dict(
            split, threshold=-0.01, modules=['layer4'], optimizers='shared', update='iteration'
        ),
    )  # fmt: skip
    for name, wrapper in wrappers.items():
        assert load_method(name) == dict(optim_wrapper=wrapper), name
    assert load_method('ista') == dict(train_cfg=ista)
    assert load_method('ista_uw') == dict(load_method('uw'), train_cfg=ista)


def test_torchjd_has_no_other_method() -> None:
    """But those whose arguments are a number for each task, and the mean of the losses: uniform."""
    kinds: dict[str, set[str]] = dict(aggregator=set(), weighting=set())
    for name in NAMES:
        wrapper = load_method(name).get('optim_wrapper', {})
        for key in {*kinds} & {*wrapper}:
            kinds[key].add(wrapper[key]['type'].removeprefix('torchjd.'))
    assert {*known_aggregators()} - kinds['aggregator'] == {'Constant'}
    assert {*scalarizers()} - kinds['weighting'] == {'Constant', 'COSMOS', 'PBI', 'Mean'}


@pytest.mark.parametrize(
    ('name', 'near'), [('pcgard', 'pcgrad'), ('ista_uv', 'ista_uw'), ('gradspilt', 'gradsplit')]
)
def test_unknown(name: str, near: str) -> None:
    with pytest.raises(ValueError, match=rf"no method '{name}'.*'uw'.*did you mean '{near}'"):
        load_method(name)


def test_a_file_of_one_s_own(tmp_path: Path) -> None:
    path = tmp_path / 'mine.py'
    path.write_text("mine = dict(optim_wrapper=dict(type='CosRegOptimWrapper', weight=0.5))")
    cfg = config()
    use_method(cfg, str(path))
    assert cfg.optim_wrapper == dict(type='CosRegOptimWrapper', weight=0.5, optimizer=OPTIMIZER)
    cfg = prepare(read('sta/ft_r18_scenes'), method=str(path))
    assert cfg.work_dir == 'work_dirs/ft_r18_scenes_mine'
    for content in ('other = dict(optim_wrapper=dict())', 'mine = dict(model=dict())', 'mine = 3'):
        path.write_text(content)
        with pytest.raises(ValueError, match=r'mine\.py.*must define mine = dict\(optim_wrapper='):
            load_method(str(path))


def test_what_a_method_file_imports_is_imported_where_its_config_is_read(tmp_path: Path) -> None:
    path = tmp_path / 'mine.py'
    path.write_text("custom_imports = dict(imports=['wave'])\nmine = dict(optim_wrapper=dict())")
    cfg = copy.deepcopy(read('sta/ft_r18_scenes'))
    use_method(cfg, str(path))
    assert cfg.custom_imports == dict(imports=['mmgradsplit', 'wave'], allow_failed_imports=False)


@pytest.mark.parametrize(
    ('name', 'reason'),
    [
        ('famo', 'compares the losses of all tasks before and after one update'),
        ('cosreg', 'compares task gradients of the same step'),
        ('mgda_ub', 'every task has features of its own images'),
        ('ista_uw', 'allocates tasks to the samples of one data set'),
    ],
)
def test_a_method_of_joint_training_is_refused_elsewhere(name: str, reason: str) -> None:
    with pytest.raises(ValueError, match=f"the method '{name}'.*{reason}.*JointTrainLoop"):
        use_method(copy.deepcopy(read('gradsplit/r18gn_4task_demo')), name)
    use_method(copy.deepcopy(read('sta/ft_r18_scenes')), name)


# ---- what stays of a config, and what goes ----


@pytest.mark.parametrize('name', NAMES)
def test_the_earlier_method_goes_whole(name: str) -> None:
    cfg = config(**KEPT)
    use_method(cfg, name)
    method = load_method(name)
    expected = {'type': 'MultiTaskOptimWrapper', **KEPT, **method.get('optim_wrapper', {})}
    if expected['type'] == 'GradSplitOptimWrapper':
        expected.setdefault('relations', RELATIONS)
        expected['modules'] = expected['modules'] and ['conv']  # of this network
    single = dict(AMTLWeighting=dict(references=SINGLE), DTPWeighting=dict(metrics=[*SINGLE]))
    weighting = expected.get('weighting', {})
    weighting.update(single.get(weighting.get('type'), {}))
    assert cfg.optim_wrapper == expected
    follows = name in ('amtl', 'amtl_arithmetic', 'dtp')
    assert needs_validation(cfg) == follows
    found = dict(cfg.train_cfg)
    if follows:
        assert (found.pop('val_begin'), found.pop('val_interval')) == (1, 1)
    train_cfg = dict(type='JointTrainLoop', max_epochs=2)
    assert found == {**train_cfg, **method.get('train_cfg', {})}
    assert cfg.method == name


def test_precision_and_the_rest_of_mmengine_s_wrapper_stay() -> None:
    cfg = config()
    plain = dict(type='AmpOptimWrapper', dtype='bfloat16', clip_grad=dict(max_norm=1.0))
    cfg.optim_wrapper = dict(plain, optimizer=OPTIMIZER, paramwise_cfg=KEPT['paramwise_cfg'])
    use_method(cfg, 'pcgrad')
    assert cfg.optim_wrapper == dict(
        load_method('pcgrad')['optim_wrapper'],
        optimizer=OPTIMIZER,
        paramwise_cfg=KEPT['paramwise_cfg'],
        base=plain,
    )


def test_how_a_network_is_split_stays() -> None:
    cfg = copy.deepcopy(read('gradsplit/vgg11gn_4task'))
    cfg.optim_wrapper.threshold = 0.0
    use_method(cfg, 'dropgrad')
    use_method(cfg, 'gradsplit_summed')
    assert cfg.optim_wrapper.modules == ['features.1[01]']
    assert cfg.optim_wrapper.threshold == 0.0
    assert 'drop_grad' not in cfg.optim_wrapper
    assert cfg.optim_wrapper.relations.endswith('gradsplit_table_a1.json')
    # The multi-head baseline, which splits nothing, does not make GradSplit split nothing.
    cfg = copy.deepcopy(read('multihead/r18gn_4task'))
    use_method(cfg, 'gradsplit')
    assert cfg.optim_wrapper.modules == ['layer4']


@pytest.mark.parametrize(
    ('inherits', 'other', 'name'),
    [
        ('multihead/r50gn_4task', 'gradsplit/r50gn_4task', 'multihead'),
        ('multihead/r18gn_4task_demo', 'gradsplit/r18gn_4task_demo', 'multihead'),
        ('gradsplit/r50gn_4task', 'multihead/r50gn_4task', 'gradsplit'),
        ('gradsplit/r18gn_3task_digits', 'multihead/r18gn_3task_digits', 'gradsplit'),
        ('amtl/r50_deeplabv3plus_nyuv2', 'amtl/uniform_r50_deeplabv3plus_nyuv2', 'amtl'),
        ('sta/r18_scenes', 'sta/ftplus_r18_scenes', 'sta'),
        ('sta/ista_r18_scenes', 'sta/ft_r18_scenes', 'ista'),
        ('sta/mask_rcnn_r50_fpn_1x_coco', 'sta/mask_rcnn_r50_fpn_1x_coco', 'sta'),
    ],
)
def test_inherited_and_by_name(inherits: str, other: str, name: str) -> None:
    """A config that inherits a method's file is another one with the method's name."""
    inherited, named = prepare(read(inherits)), prepare(read(other), method=name)
    for key in ('model', 'train_cfg', 'train_dataloader', 'param_scheduler'):
        assert inherited[key] == named[key], key
    assert updates(inherited) == updates(named)
    if name == 'multihead':
        assert inherited.work_dir == named.work_dir


def updates(cfg: Config) -> Mapping[str, Any]:
    """The optimizer wrapper; mmengine's plain one is the base by default, and trains uniformly."""
    wrapper = cfg.optim_wrapper.to_dict()
    if wrapper['type'] == 'OptimWrapper':
        wrapper['type'] = 'MultiTaskOptimWrapper'
    base = wrapper.pop('base', {})
    scope = base.pop('_scope_', wrapper.pop('_scope_', None))
    assert base in ({}, dict(type='OptimWrapper'))
    wrapper.pop('constructor', None)
    return dict(wrapper, scope=scope)


# ---- what a method needs ----


@pytest.mark.parametrize('name', ['gradsplit', 'gradsplit_summed'])
def test_relations_missing(name: str) -> None:
    cfg = config()
    cfg.pop('relations')
    with pytest.raises(ValueError, match=rf"'{name}' needs the relations.*set relations in the"):
        use_method(cfg, name)


@pytest.mark.parametrize('name', ['dtp', 'amtl', 'amtl_arithmetic'])
def test_accuracies(name: str) -> None:
    """From the argument, the config, or the references of which a higher value is better."""
    cfg = config()
    cfg.pop('accuracies')
    with pytest.raises(ValueError, match=rf"'{name}' follows the accuracy of each task: set accu"):
        use_method(copy.deepcopy(cfg), name)
    low = {f'{TASKS[0]}/error': dict(value=3.0, lower_is_better=True)}
    cfg.val_cfg = dict(references={**low, **SINGLE, f'{TASKS[1]}/other': 40.0})
    other = dict.fromkeys(SINGLE, 60.0)
    for accuracies, expected in ((None, SINGLE), (other, other)):
        changed = copy.deepcopy(cfg)
        use_method(changed, name, accuracies)
        weighting = changed.optim_wrapper.weighting
        assert weighting.get('references', expected) == expected
        assert [*weighting.get('references', weighting.get('metrics'))] == [*SINGLE]


@pytest.mark.parametrize('name', ['sta', 'ista', 'sta_uw', 'ista_uw', 'sta_pcgrad', 'ista_pcgrad'])
def test_allocations_need_joint_training(name: str) -> None:
    with pytest.raises(ValueError, match=rf"'{name}' allocates tasks.*needs joint training"):
        use_method(in_turn(), name)


def test_one_optimizer_is_needed() -> None:
    cfg = config()
    cfg.optim_wrapper = {task: dict(optimizer=OPTIMIZER) for task in TASKS}
    with pytest.raises(ValueError, match='--method uw: optim_wrapper has a wrapper a task'):
        use_method(cfg, 'uw')


# ---- they train ----


@pytest.mark.parametrize('name', NAMES)
def test_an_update(name: str) -> None:
    """Each is built for a network, and makes a finite update of its backbone."""
    cfg = config()
    use_method(cfg, name)
    wrapper = cfg.optim_wrapper
    if wrapper.get('on') == ['*layer4']:
        wrapper.on = ['conv']  # of this network
    if wrapper.get('weighting', {}).get('layer'):
        wrapper.weighting.layer = ['conv']
    cfg = prepare(cfg, 'unused')
    init_default_scope('mmgradsplit')
    ALLOCATORS.build(cfg.train_cfg.get('allocator', dict(type='FullTask'))).check(TASKS)
    model: Any = MODELS.build(cfg.model)
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    before = [param.detach().clone() for param in model.backbone.parameters()]
    wrapper.begin_training(model, 0, 1, 1, {})
    steps = [[task] for task in TASKS] if wrapper.by_task else [[*TASKS]]
    samples = [ToyScenes()[index] for index in range(4)]
    for tasks in steps:
        batch: dict[str, Any] = {key: [of[key] for of in samples] for key in samples[0]}
        allocation = np.array([[task in tasks for task in TASKS]] * len(samples))
        wrapper.begin_step(tasks, tasks is steps[-1])
        model.train_step(dict(batch, allocation=allocation, counts=None), wrapper)
    for old, param in zip(before, model.backbone.parameters(), strict=True):
        assert param.isfinite().all() and not param.equal(old)
