"""Major iterations, what is logged of them, and mmengine's hooks and schedules around them."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from fixtures_training import assert_same, build, load, run, scalars, tiny_config, write_data
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.registry import PARAM_SCHEDULERS
from mmengine.runner import Runner
from torch.optim import SGD

from mmgradsplit.registry import HOOKS

ROOT = Path(__file__).resolve().parents[2]
TWO = ('attribute', 'parsing')
PLAIN = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01))


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp('data'))


@HOOKS.register_module(force=True)
class ValidatedHook(Hook):
    """Remembers the epochs that were validated."""

    epochs: list[int] = []  # noqa: RUF012

    def before_val(self, runner: Runner) -> None:
        self.epochs.append(runner.epoch)


def steps_of(runner: Runner) -> list[str]:
    """The list to which each task step will add its task."""
    steps: list[str] = []
    step = runner.model.train_step

    def train_step(batch: dict, optim_wrapper: Any) -> dict:
        steps.append(batch['task'])
        return step(batch, optim_wrapper)

    runner.model.train_step = train_step
    return steps


@pytest.mark.parametrize('tasks', [('pose', 'attribute', 'parsing'), ('attribute', 'pose')])
def test_one_step_of_each_task_a_major_iteration(
    data: Path, tmp_path: Path, tasks: tuple[str, ...]
) -> None:
    runner = build(tiny_config(data, tasks, val_cfg=None, val_dataloader=None, val_evaluator=None),
                   tmp_path)  # fmt: skip
    steps = steps_of(runner)
    runner.train()
    assert steps == list(tasks) * 6
    assert (runner.iter, runner.epoch) == (6, 2)


def test_plain_wrappers_uniform_weights_and_gradsplit_with_all_relations_agree(
    data: Path, tmp_path: Path
) -> None:
    """Plain SGD has no state, so separate optimizers move as one does."""

    def trained(name: str, wrapper: dict | None) -> dict[str, torch.Tensor]:
        cfg = tiny_config(data, TWO, val_cfg=None, val_dataloader=None, val_evaluator=None)
        cfg.param_scheduler = None
        cfg.optim_wrapper = wrapper or PLAIN
        runner = build(cfg, tmp_path / name)
        if wrapper is None:
            params = list(runner.model.parameters())
            runner.optim_wrapper = OptimWrapperDict(
                **{task: OptimWrapper(SGD(params, lr=0.01)) for task in TWO}
            )
        runner.train()
        return runner.model.state_dict()

    one = trained('one', PLAIN)
    assert_same(one, trained('dict', None))
    assert_same(one, trained('uniform', dict(PLAIN, type='MultiTaskOptimWrapper')))
    assert_same(one, trained('split', dict(PLAIN, type='GradSplitOptimWrapper', relations='all')))


def test_one_optimizer_accumulates_over_task_steps(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = tiny_config(data, TWO, val_cfg=None, val_dataloader=None, val_evaluator=None)
    cfg.optim_wrapper = dict(PLAIN, accumulative_counts=3)
    runner = build(cfg, tmp_path)
    updates: list[int] = []
    step = SGD.step

    def counted(self: SGD, *args: Any) -> None:
        updates.append(runner.iter)
        step(self, *args)

    monkeypatch.setattr(SGD, 'step', counted)
    runner.train()
    # Of the twelve task steps, two an iteration, every third one.
    assert updates == [1, 2, 4, 5]


def test_log(data: Path, tmp_path: Path) -> None:
    cfg = tiny_config(data)
    cfg.visualizer.vis_backends = [dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')]
    run(cfg, tmp_path)
    lines = scalars(tmp_path)
    training = [line for line in lines if 'time' in line and 'iter' in line]
    assert [line['step'] for line in training] == list(range(1, 7))
    for line in training:
        for task in ('attribute', 'reid', 'pose', 'parsing'):
            assert line[f'{task}/loss'] > 0
            # Of the step itself: from the first to the last it falls to zero.
            assert line[f'{task}.lr'] == pytest.approx(0.001 * (6 - line['step']) / 5)
        assert {'reid/loss_id', 'reid/loss_triplet', 'pose/loss_kpt'} < set(line)
        assert 'loss' not in line
    validation = [line for line in lines if 'parsing/mIoU' in line]
    assert len(validation) == 2
    assert {'attribute/MA', 'reid/mAP', 'pose/PCK'} < set(validation[0])
    assert list(tmp_path.glob('*/vis_data/events.out.tfevents*'))


@pytest.mark.gpu(alone=False)
def test_ema_and_the_best_of_several_metrics(data: Path, tmp_path: Path) -> None:
    cfg = tiny_config(data, TWO)
    cfg.custom_hooks = [dict(type='EMAHook', momentum=0.3)]
    cfg.val_cfg.references = {'attribute/MA': 50.0, 'parsing/mIoU': 20.0}
    cfg.default_hooks.checkpoint.update(
        save_best=['delta_m', 'parsing/mIoU'], rule='greater', max_keep_ckpts=1
    )
    runner = run(cfg, tmp_path)
    (last,) = tmp_path.glob('epoch_*.pth')
    assert last.name == 'epoch_2.pth'
    averaged = load(last)
    moved = [
        name
        for name, value in averaged['state_dict'].items()
        if not torch.equal(value, averaged['ema_state_dict'][f'module.{name}'])
    ]
    assert 'backbone.layer4.0.conv1.weight' in moved
    values = [line for line in scalars(tmp_path) if 'delta_m' in line]
    for metric in ('delta_m', 'parsing/mIoU'):
        (best,) = tmp_path.glob(f'best_{metric.replace("/", "_")}_epoch_*.pth')
        scores = [line[metric] for line in values]
        assert best.name.endswith(f'_{scores.index(max(scores)) + 1}.pth')
    assert runner.message_hub.get_info('best_score_delta_m') == pytest.approx(
        max(line['delta_m'] for line in values)
    )


def test_early_stopping(data: Path, tmp_path: Path) -> None:
    cfg = tiny_config(data, TWO)
    cfg.train_cfg.update(max_epochs=9, iters_per_epoch=1)
    cfg.val_cfg.references = {'attribute/MA': 50.0, 'parsing/mIoU': 20.0}
    cfg.custom_hooks = [
        dict(type='EarlyStoppingHook', monitor='delta_m', rule='greater', patience=2, min_delta=1e9)
    ]
    runner = run(cfg, tmp_path)
    assert runner.epoch < 9


def test_validation_intervals(data: Path, tmp_path: Path) -> None:
    cfg = tiny_config(data, ('attribute',))
    cfg.train_cfg.update(
        max_epochs=9, iters_per_epoch=1, val_begin=4, val_interval=2, dynamic_intervals=[(7, 1)]
    )
    cfg.custom_hooks = [dict(type='ValidatedHook')]
    cfg.default_hooks.checkpoint = None
    ValidatedHook.epochs.clear()
    run(cfg, tmp_path)
    assert ValidatedHook.epochs == [4, 6, 7, 8, 9]


def test_schedule_of_the_paper() -> None:
    """Three epochs of linear warm-up, then ten cycles of ten epochs of cosine decay."""
    cfg = Config.fromfile(ROOT / 'configs/_base_/schedules/round_robin_100e.py')
    length, rate = 1000, 0.001
    assert cfg.train_cfg.iters_per_epoch == length
    assert cfg.optim_wrapper.optimizer.lr == rate
    optimizer = SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate)
    schedulers = [
        PARAM_SCHEDULERS.build(
            scheduler, default_args=dict(optimizer=optimizer, epoch_length=length)
        )
        for scheduler in map(dict, cfg.param_scheduler)
    ]
    rates = []
    for _ in range(cfg.train_cfg.max_epochs * length):
        rates.append(optimizer.param_groups[0]['lr'])
        for scheduler in schedulers:
            scheduler.step()

    assert cfg.train_cfg.max_epochs == 103
    for epoch in range(103):
        if epoch < 3:
            expected = rate * epoch / 3
        else:
            expected = rate * 0.5 * (1 + math.cos(math.pi * ((epoch - 3) % 10) / 10))
        assert rates[epoch * length] == pytest.approx(expected, abs=2e-6), epoch
    # The end of a cycle is near zero, and each cycle begins at the full rate.
    assert max(rates[13 * length - 1 :: 10 * length]) < 1e-8
    assert max(rates) == pytest.approx(rate)


def test_mixed_precision_of_all_kinds_of_tasks(data: Path, tmp_path: Path) -> None:
    cfg = tiny_config(data, val_cfg=None, val_dataloader=None, val_evaluator=None)
    cfg.train_cfg.update(max_epochs=1, iters_per_epoch=1)
    run(cfg, tmp_path / 'float32')
    run(cfg, tmp_path / 'mixed', amp=True)
    (single,), (mixed,) = (scalars(tmp_path / name) for name in ('float32', 'mixed'))
    losses = [key for key in single if key.endswith('/loss')]
    assert len(losses) == 4
    for key in losses:
        # bfloat16 has three significant digits.
        assert mixed[key] == pytest.approx(single[key], rel=0.03), key
    assert any(mixed[key] != single[key] for key in losses)
