"""What only a step, a validation or an epoch's end would find, before the first step."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fixtures_training import build, fails_before_the_first_step, run, tiny_config, write_data
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmgradsplit.engine.hooks.remarks import remarks
from mmgradsplit.engine.screen import ScreenRunner
from mmgradsplit.registry import HOOKS, TRANSFORMS
from mmgradsplit.utils import ConfigError

TASKS = ('attribute', 'parsing')


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp('data'))


def put(key: str, value: object) -> Callable[[Config], None]:
    return lambda cfg: cfg.merge_from_dict({key: value})


UNTRAINED = [{}, dict(custom_hooks=[dict(type='SummaryHook')])]
PACKED = 'val_dataloader.parsing.dataset.pipeline'


@pytest.mark.parametrize('hooks', UNTRAINED, ids=['one batch', 'untrained'])
@pytest.mark.parametrize(
    ('mistake', 'words'),
    [
        (put('val_evaluator.parsing.iou_metrics', ['mIuO']), r'^val_evaluator\.parsing: .*mIuO'),
        (put(PACKED, [dict(type='LoadImageFromFile'), dict(type='PackSegInputs')]),
         r'^val_evaluator\.parsing: '),
        (put('default_hooks.checkpoint.save_best', 'parsing/mIuO'),
         r"^default_hooks\.checkpoint\.save_best: 'parsing/mIuO' is not .*'parsing/mIoU'\?"),
        (put('val_cfg.references', {'attribute/MA': 50.0, 'parsing/IoU': 50.0}),
         r"(references name|val_cfg\.references: ).*parsing/IoU"),
    ],
    ids=['evaluator', 'pipeline', 'save_best', 'references'],
)  # fmt: skip
def test_a_validation_that_cannot_be(
    data: Path, tmp_path: Path, mistake: Callable[[Config], None], words: str, hooks: dict
) -> None:
    cfg = tiny_config(data, TASKS, **hooks)
    mistake(cfg)
    fails_before_the_first_step(cfg, tmp_path, ConfigError, words)


def test_a_loss_that_cannot_be_computed(data: Path, tmp_path: Path) -> None:
    """The network and its validation are in order, but not the loss."""
    cfg = tiny_config(data, TASKS, val_cfg=None, val_dataloader=None, val_evaluator=None)
    cfg.model.tasks.parsing.decode_head.loss_decode.class_weight = [1.0, 2.0]
    words = r'^model\.tasks\.parsing\.decode_head\.loss_decode'
    fails_before_the_first_step(cfg, tmp_path, ConfigError, words)


def test_it_leaves_no_trace(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With batch norms in the heads, and with and without the rehearsal."""
    cfg = tiny_config(data, TASKS, train_cfg__max_epochs=1)
    cfg.model.tasks.parsing.decode_head.norm_cfg = dict(type='BN')
    ours = run(cfg, tmp_path / 'ours').model.state_dict()
    module = 'mmgradsplit.engine.loops.round_robin.rehearse_step'
    monkeypatch.setattr(module, lambda *args: None)
    monkeypatch.setattr('mmgradsplit.engine.loops.seeded.rehearse_validation', lambda *args: None)
    theirs = run(cfg, tmp_path / 'theirs').model.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


# ---- what follows the habits of mmengine ----


@TRANSFORMS.register_module(force=True)
class Marked:
    """Says in the sample that it has passed."""

    def __call__(self, results: dict) -> dict:
        results['data_samples'].set_field(True, 'marked', field_type='metainfo')
        return results


@HOOKS.register_module(force=True)
class SeenHook(Hook):
    """Notes the epochs of batches that passed ``Marked``."""

    seen: list[tuple[int, str]] = []  # noqa: RUF012

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        for task, batch in data_batch.items():
            if 'marked' in batch['data_samples'][0]:
                self.seen.append((runner.epoch, task))


@pytest.mark.parametrize('num_workers', [0, 1])
def test_a_pipeline_is_switched_by_task(data: Path, tmp_path: Path, num_workers: int) -> None:
    cfg = tiny_config(data, TASKS, num_workers=num_workers, train_cfg__iters_per_epoch=2)
    pipeline = [*cfg.train_dataloader.parsing.dataset.pipeline, dict(type='mmgradsplit.Marked')]
    hook = dict(type='TaskSwitchHook', switch_epoch=1, pipelines=dict(parsing=pipeline))
    cfg.custom_hooks = [hook, dict(type='SeenHook')]
    SeenHook.seen.clear()
    run(cfg, tmp_path)
    assert SeenHook.seen == [(1, 'parsing')] * 2


def test_a_switch_that_cannot_be_built(data: Path, tmp_path: Path) -> None:
    cfg = tiny_config(data, TASKS)
    for pipelines, words in (
        (dict(pose=[]), "no task 'pose'"),
        (dict(parsing=[dict(type='No')]), 'No'),
    ):
        cfg.custom_hooks = [dict(type='TaskSwitchHook', switch_epoch=1, pipelines=pipelines)]
        fails_before_the_first_step(cfg, tmp_path, ConfigError, rf'pipelines\.\w+.*{words}')


@pytest.mark.parametrize('optimizers', ['separate', 'shared'])
def test_learning_rates_scale_by_task(data: Path, tmp_path: Path, optimizers: str) -> None:
    cfg = tiny_config(data, TASKS, optim_wrapper__optimizers=optimizers)
    cfg.auto_scale_lr = dict(enable=True, base_batch_size=8)
    cfg.train_dataloader.parsing.batch_size = 2
    runner: Any = build(cfg, tmp_path)
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    if optimizers == 'shared':
        with pytest.raises(ConfigError, match=r'auto_scale_lr: .*their batches differ'):
            runner.scale_lr(runner.optim_wrapper, cfg.auto_scale_lr)
        return
    runner.scale_lr(runner.optim_wrapper, cfg.auto_scale_lr)
    rates = {
        task: wrapper.optimizer.param_groups[0]['lr']
        for task, wrapper in runner.optim_wrapper.items()
    }
    assert rates == {'attribute': 0.001 * 4 / 8, 'parsing': 0.001 * 2 / 8}


# ---- remarks ----


def remarks_of(cfg: Config, work_dir: Path) -> str:
    runner: Any = build(cfg, work_dir)
    assert isinstance(runner, ScreenRunner)
    runner._train_loop = runner.build_train_loop(runner._train_loop)
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    return '\n'.join(remarks(runner))


def test_remarks(data: Path, tmp_path: Path) -> None:
    cfg = tiny_config(data, ('attribute', 'reid'))
    assert remarks_of(cfg, tmp_path) == ''
    cfg.train_dataloader.reid.dataset.indices = 4
    cfg.train_dataloader.attribute.batch_size = 1
    cfg.train_dataloader.reid.batch_size = 24
    cfg.train_dataloader.reid.pop('sampler')
    cfg.train_dataloader.reid.sampler = dict(type='DefaultSampler', shuffle=True)
    cfg.model.backbone.frozen_stages = 4
    found = remarks_of(cfg, tmp_path)
    assert 'times through the data of reid, but' in found
    assert 'frozen in layer4 (optim_wrapper.modules)' in found
