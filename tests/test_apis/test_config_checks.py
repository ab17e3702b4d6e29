"""What is wrong with a config, by key, before data is looked for; nothing here has any data."""

from collections.abc import Callable
from pathlib import Path

import pytest
from fixtures_training import tiny_config
from mmengine.config import Config

from mmgradsplit.apis.preparation import check, prepare
from mmgradsplit.utils import ConfigError

REFERENCES = {'attribute/MA': 70.0, 'parsing/mIoU': 40.0}


def config(**options: object) -> Config:
    return tiny_config(Path('nowhere'), ('attribute', 'parsing'), **options)


def checked(cfg: Config) -> Config:
    cfg = prepare(cfg, 'out')
    check(cfg, ['train', 'val'])
    return cfg


def put(key: str, value: object) -> Callable[[Config], None]:
    return lambda cfg: cfg.merge_from_dict({key: value})


def schedule(**given: object) -> Callable[[Config], None]:
    return put('param_scheduler', [given])


def hook(**given: object) -> Callable[[Config], None]:
    return put('custom_hooks', [given])


def amp(cfg: Config) -> None:
    """Mixed precision where GradSplit's constructor would not see it."""
    constructor = 'GradSplitOptimWrapperConstructor'
    optimizer = dict(type='SGD', lr=0.1)
    cfg.optim_wrapper = dict(type='AmpOptimWrapper', optimizer=optimizer, constructor=constructor)


CLIP = 'optim_wrapper.clip_grad'
TASK = 'train_dataloader.attribute'
# A mistake, and what must be said of it.
MISTAKES: list[tuple[Callable[[Config], object], str]] = [
    # Nobody reads these.
    (put('param_schedulers', []), r"param_schedulers: .* did you mean 'param_scheduler'\?"),
    (put('randomnes', {}), r"randomnes: .*'randomness'\?"),
    (put('custom_hook', []), r"custom_hook: .*'custom_hooks'\?"),
    (put('env_cfg.cudnn_benchmrk', True), r"env_cfg\.cudnn_benchmrk: .*'cudnn_benchmark'\?"),
    (put('randomness.sead', 1), r"randomness\.sead: .*'seed'\?"),
    (put(CLIP, dict(max_nrom=1)), rf"{CLIP}\.max_nrom: .*'max_norm'\?"),
    (put('optim_wrapper.paramwise_cfg', dict(norm_decay=0)), r'paramwise_cfg\.norm_decay: no such'),
    (put('val_cfg.references', {**REFERENCES, 'parsing/mIoU': dict(value=1, lower=True)}),
     r"val_cfg\.references\['parsing/mIoU'\] has no key 'lower'"),
    (put('default_hooks.checkpoint.intervall', 2), r"intervall.*did you mean 'interval'"),
    (put('default_hooks.checkpoint.interval', 'two'), r"checkpoint\.interval is 'two'"),
    # What a class does not take.
    (put(f'{TASK}.num_worker', 2), rf"{TASK}\.num_worker: .*'num_workers'\?"),
    (put(f'{TASK}.num_workers', 0.5), rf'{TASK}\.num_workers is 0\.5'),
    (put(f'{TASK}.batch_size', None), rf'{TASK}\.batch_size must be a whole number'),
    (put(f'{TASK}.sampler.shufle', True), rf"{TASK}\.sampler: .*'shuffle'\?"),
    (put(f'{TASK}.dataset.splitt', 'a'), rf"{TASK}\.dataset: PA100K has no 'splitt'.*'split'\?"),
    (put(f'{TASK}.dataset.pipeline.1.probb', 1), rf"{TASK}\.dataset\.pipeline\.1: .*'prob'\?"),
    (put(f'{TASK}.dataset.pipeline.1.type', 'RandmFlip'), r"pipeline\.1\.type: .* no 'RandmFlip'"),
    (put('val_evaluator.parsing.iou_metric', []), r"val_evaluator\.parsing: .*'iou_metrics'\?"),
    (put('optim_wrapper.optimizer.weightdecay', 0), r"wrapper\.optimizer: .*'weight_decay'\?"),
    (put('optim_wrapper.modulez', []), r"optim_wrapper\.modulez: .*'modules'\?"),
    (put('train_cfg.max_epoch', 3), r"train_cfg: .*'max_epochs'\?"),
    (schedule(type='PolyLR', powr=1), r"param_scheduler\.0: .*'power'\?"),
    (hook(type='SummaryHook', untraind=False), r"custom_hooks\.0: .*'untrained'\?"),
    (put('model.tasks.parsing.decode_head.align_corners', []), r'align_corners is \[\]'),
    (put('optim_wrapper', 'abc'), r"optim_wrapper must be a dict, got 'abc'"),
    (put('default_hooks', 'abc'), r"default_hooks must be a dict, got 'abc'"),
    (put('find_unused_parameters', 1), r'find_unused_parameters must be True or False, got 1'),
    (put('val_evaluator.parsing', []), r'val_evaluator\.parsing is empty'),
    # What would train otherwise than it says.
    (put(CLIP, dict(max_norm=-35)), rf'{CLIP}\.max_norm must be .* above 0, .* turn the gradient'),
    (put('train_cfg.val_interval', 0), r'train_cfg\.val_interval must be'),
    (put('train_cfg.val_interval', -1), r'train_cfg\.val_interval must be'),
    (put('train_cfg.val_interval', float('nan')), r'train_cfg\.val_interval is nan'),
    (put('train_cfg.max_epochs', 0), r'train_cfg\.max_epochs must be'),
    (amp, r"optim_wrapper\.type is 'AmpOptimWrapper', but .* would be ignored"),
    (put('compile', True), r'compile: torch\.compile cannot'),
    # What follows a metric.
    (put('default_hooks.checkpoint.save_best', 'delta_m'), r'save_best is .* needs val_cfg\.ref'),
    (put('default_hooks.checkpoint.save_best', 'auto'), r"save_best is 'auto', but .* name one"),
    (put('default_hooks.checkpoint', dict(save_best='parsing/mIoU', rule='less')),
     r'checkpoint\.rule: a higher value .* is better, but the config says a lower'),
    (schedule(type='ReduceOnPlateauLR', monitor='parsing/mIoU', rule='less'), r'scheduler\.0'),
    (hook(type='EarlyStoppingHook', monitor='other/loss'), r'custom_hooks\.0\.rule: .* not known'),
    (put('val_cfg.references', {'attribute/MA': 70.0}), r'references must name one metric'),
    (put('val_cfg.references', '{}'), r'must be a dict .* val_cfg\.references=None'),
    # Hooks of one data set, or of one toolbox.
    (hook(type='mmdet.PipelineSwitchHook', switch_epoch=1, switch_pipeline=[]), 'TaskSwitchHook'),
    (hook(type='mmpretrain.SwitchRecipeHook', schedule=[]), 'TaskSwitchHook'),
    (hook(type='mmseg.SegVisualizationHook', draw=True), 'PanelHook'),
]  # fmt: skip


@pytest.mark.parametrize(('mistake', 'words'), MISTAKES, ids=[words[:50] for _, words in MISTAKES])
def test_a_mistake_is_said_by_key(mistake: Callable[[Config], object], words: str) -> None:
    cfg = config()
    mistake(cfg)
    with pytest.raises(ValueError, match=words):
        checked(cfg)


def test_what_is_right_passes_and_learns_its_direction() -> None:
    plateau = dict(type='ReduceOnPlateauLR', monitor='parsing/mIoU')
    cfg = config(
        val_cfg__references=REFERENCES,
        default_hooks__checkpoint__save_best=['delta_m', 'attribute/MA'],
        param_scheduler=[plateau],
        custom_hooks=[dict(type='mmseg.SegVisualizationHook', draw=False)],
    )
    found = checked(cfg)
    assert found.default_hooks.checkpoint.rule == ['greater', 'greater']
    assert found.param_scheduler[0].rule == 'greater'


def test_a_direction_that_only_the_config_knows() -> None:
    cfg = config(default_hooks__checkpoint=dict(save_best='parsing/error'))
    cfg.val_evaluator.parsing = dict(type='mmdet.DumpProposals')  # which measures nothing
    with pytest.raises(ConfigError, match=r'default_hooks\.checkpoint\.rule: whether a lower or a'):
        checked(cfg)
    cfg.default_hooks.checkpoint.rule = 'less'
    assert checked(cfg).default_hooks.checkpoint.rule == ['less']


def test_errors_of_depth_keep_the_lowest() -> None:
    cfg = config(default_hooks__checkpoint=dict(save_best='parsing/rmse'))
    cfg.val_evaluator.parsing = [dict(type='DepthErrorMetric')]
    assert checked(cfg).default_hooks.checkpoint.rule == ['less']


def test_without_a_validation_there_is_no_best_checkpoint() -> None:
    cfg = config(default_hooks__checkpoint__save_best='delta_m')
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    cfg = prepare(cfg, 'out')
    (notice,) = check(cfg, ['train'])
    assert 'No validation: default_hooks.checkpoint.save_best' in notice
    assert cfg.default_hooks.checkpoint.save_best is None


def test_a_sampler_of_batches_of_another_size() -> None:
    cfg = tiny_config(Path('nowhere'), ('reid',))
    cfg.train_dataloader.reid.batch_size = 8
    words = r'train_dataloader\.reid\.batch_size is 8, but .*\.reid\.sampler\.batch_size is 4'
    with pytest.raises(ConfigError, match=words):
        checked(cfg)


def test_a_weighting_follows_accuracies_alone() -> None:
    weighting = dict(type='AMTLWeighting', references={'attribute/MA': 50, 'parsing/rmse': 1.0})
    cfg = config(optim_wrapper__weighting=weighting)
    cfg.val_evaluator.parsing = dict(type='DepthErrorMetric')
    with pytest.raises(ConfigError, match=r"weighting: AMTLWeighting .*'parsing/rmse' is better"):
        checked(cfg)


def test_workers_that_are_none_cannot_persist() -> None:
    cfg = config(train_dataloader__parsing__persistent_workers=True)
    cfg.train_dataloader.parsing.prefetch_factor = 2
    found = prepare(cfg, 'out').train_dataloader.parsing
    assert 'persistent_workers' not in found and 'prefetch_factor' not in found
