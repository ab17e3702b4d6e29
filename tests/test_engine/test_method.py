"""What the training loops tell the method of the optimizer wrapper; no config asks for it."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from fixtures_training import assert_same, fails_before_the_first_step, load, run, scalars
from mmengine.config import Config
from torch import Tensor
from torchjd import scalarization
from toy_joint import TASKS, ToyScenes, ToyTask
from toy_weighting import AMTL, DTP, GRADNORM, GRADSPLIT, SINGLE, config, numbers

from mmgradsplit.models import MultiTaskModel
from mmgradsplit.optim import MultiTaskOptimWrapper

METHODS = [name for name in scalarization.__all__ if name != 'Scalarizer']
OPTIONS: dict[str, dict] = dict(
    Constant=dict(weights=dict(zip(TASKS, (0.5, 1.0, 2.0), strict=True))),
    COSMOS=dict(lambda_=0.5, weights=[1.0, 2.0, 3.0]),
    PBI=dict(theta=0.1, weights=[1.0, 2.0, 3.0]),
    STCH=dict(mu=0.5),
)
DATA = ToyScenes()


def in_turn(cfg: Config) -> Config:
    """The same training by major iterations."""
    cfg.train_dataloader = dict.fromkeys(TASKS, cfg.train_dataloader)
    cfg.train_cfg = dict(type='RoundRobinTrainLoop', max_epochs=2, iters_per_epoch=3)
    return cfg


# ---- what it is told ----


class Told:
    """Takes note of all that a wrapper is told, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[tuple[str, tuple]] = []
        for name in ('begin_training', 'begin_step', 'update_tasks', 'end_epoch', 'validated'):
            monkeypatch.setattr(MultiTaskOptimWrapper, name, self._noting(name))

    def _noting(self, name: str) -> Any:
        plain = getattr(MultiTaskOptimWrapper, name)

        def call(wrapper: MultiTaskOptimWrapper, *args: Any) -> Any:
            self.calls.append((name, args))
            return plain(wrapper, *args)

        return call

    def of(self, name: str) -> list[tuple]:
        return [args for called, args in self.calls if called == name]


def test_every_step_is_announced_with_its_tasks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Told(monkeypatch)
    uniform = dict(type='UniformWeighting')
    few = {str(i): ('first', 'norm') for i in range(4)}  # no annotation of 'add' in the first batch
    joint = config(
        tmp_path,
        uniform,
        train_cfg__allocator=dict(type='ISTA', size=2),
        train_cfg__annotations={task: f'gt_{task}' for task in TASKS},
        train_dataloader__dataset__given=few,
    )
    run(joint, tmp_path / 'joint')
    assert [name for name, _ in told.calls[:1]] == ['begin_training']
    steps = told.calls[1:-1]
    assert {name for name, _ in steps} == {'begin_step', 'update_tasks', 'end_epoch'}
    announced, handed = told.of('begin_step'), told.of('update_tasks')
    assert [list(tasks) for tasks, _ in announced] == [list(losses) for (losses,) in handed]
    assert all(final for _, final in announced)  # one update a sub-step
    assert {'add' in losses for (losses,) in handed} == {True, False}
    assert all(loss.shape == () for (losses,) in handed for loss in losses.values())

    told.calls.clear()
    run(in_turn(config(tmp_path, uniform)), tmp_path / 'in_turn')
    expected = [([task], task == 'norm') for task in TASKS] * 6
    assert told.of('begin_step') == expected
    assert [[*losses] for (losses,) in told.of('update_tasks')] == [task for task, _ in expected]


@pytest.mark.parametrize('kind', ['joint', 'in turn'])
def test_where_training_stands_and_what_ends(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An epoch ends before its validation, whose metrics are handed on as they are logged."""
    told = Told(monkeypatch)
    cfg = config(tmp_path, dict(type='UniformWeighting'), validated=True)
    cfg = in_turn(cfg) if kind == 'in turn' else cfg
    whole, part = tmp_path / 'whole', tmp_path / 'part'
    runner = run(cfg, whole)
    steps = dict.fromkeys(TASKS, 1) if kind == 'in turn' else {}
    beside = [name for name, _ in told.calls if name not in ('begin_step', 'update_tasks')]
    assert beside == ['begin_training', *['end_epoch', 'validated'] * 2]
    assert told.of('begin_training') == [(runner.model, 0, 6, 1, steps)]
    logged = [line for line in scalars(whole) if 'add/accuracy' in line]
    for (metrics, iteration), line, done in zip(told.of('validated'), logged, (3, 6), strict=True):
        assert iteration == done
        assert {name: line[name] for name in SINGLE} == metrics
    told.calls.clear()
    runner = run(cfg, part, resume=whole / 'epoch_1.pth')
    assert told.of('begin_training') == [(runner.model, 3, 6, 1, steps)]
    assert len(told.of('end_epoch')) == len(told.of('validated')) == 1


def test_losses_after_the_update_of_the_same_batch_with_the_same_random_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain_task, plain_step = ToyTask.forward, MultiTaskModel.train_step
    plain_revise = MultiTaskOptimWrapper.revise
    drawn: list[float] = []
    batches: list[list[int]] = []
    inputs = [float(DATA[row]['inputs'].sum()) for row in range(len(DATA))]

    def noisy(self: ToyTask, x: Tensor, data_samples: Any = None, mode: str = 'tensor') -> Any:
        losses = plain_task(self, x, data_samples, mode)
        if not self.training:  # in the rehearsal
            return losses
        drawn.append(float(torch.rand(())))
        return {name: loss + drawn[-1] for name, loss in losses.items()}

    def train_step(self: MultiTaskModel, data: dict, optim_wrapper: Any) -> dict:
        batches.append([inputs.index(float(x.sum())) for x in data['inputs']])
        return plain_step(self, data, optim_wrapper)

    def revise(self: MultiTaskOptimWrapper, losses: Mapping[str, Tensor]) -> None:
        """Against the losses written out, with the weights as they are now."""
        (step, again), rows = (drawn[-6:-3], drawn[-3:]), batches[-1]
        assert step == again
        data = [DATA[row] for row in rows]
        (features,) = self.model.backbone(torch.stack([part['inputs'] for part in data]))
        for task, draw in zip(TASKS, again, strict=True):
            head = self.model.tasks[task].head
            out = features.flatten(1) @ head.weight[0] + head.bias
            target = torch.stack([getattr(part['data_samples'], f'gt_{task}') for part in data])
            expected = (out - target).square().mean() + draw
            torch.testing.assert_close(losses[task], expected, rtol=1e-9, atol=0)
            assert not losses[task].requires_grad
        plain_revise(self, losses)

    def keeping(self: MultiTaskOptimWrapper, model: Any, *args: Any) -> None:
        self.model = model
        plain_begin(self, model, *args)

    plain_begin = MultiTaskOptimWrapper.begin_training
    monkeypatch.setattr(MultiTaskOptimWrapper, 'begin_training', keeping)
    monkeypatch.setattr(MultiTaskOptimWrapper, 'revise', revise)
    monkeypatch.setattr(MultiTaskModel, 'train_step', train_step)
    monkeypatch.setattr(ToyTask, 'forward', noisy)
    run(config(tmp_path, dict(type='torchjd.FAMO')), tmp_path)
    # Six steps, each with the draws of three tasks, twice; other draws in every step.
    assert len(drawn) == 36 and len(set(drawn)) == 18


# ---- what methods make of it ----


@pytest.mark.parametrize('method', [*METHODS, 'GradNorm'])
def test_twenty_iterations_of_every_weighting(method: str, tmp_path: Path) -> None:
    weighting = dict(type=f'torchjd.{method}', **OPTIONS.get(method, {}))
    cfg = config(tmp_path, weighting if method in METHODS else GRADNORM)
    cfg.train_cfg.max_epochs = 7
    runner = run(cfg, tmp_path)
    lines = scalars(tmp_path)
    assert all(math.isfinite(line[f'weight/{task}']) for line in lines for task in TASKS)
    losses = [sum(line[f'{task}/loss_square'] for task in TASKS) for line in lines]
    assert len(lines) == 21
    assert losses[-3] < losses[0]  # of the same batch
    assert all(value.isfinite().all() for value in runner.model.parameters())


def test_what_is_learned_is_learned(tmp_path: Path) -> None:
    """DWA's weights move after two epochs, FAMO's after the first step."""
    for method, before in (('DWA', 6), ('FAMO', 1)):
        folder = tmp_path / method
        cfg = config(folder, dict(type=f'torchjd.{method}'))
        cfg.train_cfg.max_epochs = 3
        wrapper = run(cfg, folder).optim_wrapper
        weights = [[line[f'weight/{task}'] for task in TASKS] for line in scalars(folder)]
        if method == 'DWA':
            assert all(value == [1.0, 1.0, 1.0] for value in weights[:before])
            assert all(value != [1.0, 1.0, 1.0] for value in weights[before:])
        else:
            assert (wrapper.weighting.scalarizer._w != 0).all()


def test_amtl_follows_the_formula_in_the_log(tmp_path: Path) -> None:
    cfg = config(tmp_path, AMTL, validated=True)
    cfg.train_cfg.update(max_epochs=4)
    run(cfg, tmp_path)
    smoothed: list[float] = []
    expected = [1 / 3] * 3
    steps = validations = 0
    for line in scalars(tmp_path):
        if 'add/accuracy' in line:
            new = [line[f'{task}/accuracy'] for task in TASKS]
            smoothed = [0.1 * a + 0.9 * b for a, b in zip(new, smoothed or new, strict=True)]
            potentials = [1.05 * SINGLE[f'{task}/accuracy'] for task in TASKS]
            raw = [math.exp((1 - a / p) ** 2) for a, p in zip(smoothed, potentials, strict=True)]
            expected = [value / sum(raw) for value in raw]
            validations += 1
        else:
            logged = [line[f'weight/{task}'] for task in TASKS]
            assert logged == pytest.approx(expected, rel=1e-5)
            product = math.prod(
                line[f'{task}/loss_square'] ** w for task, w in zip(TASKS, expected, strict=True)
            )
            assert line['loss'] == pytest.approx(product, rel=1e-5)
            steps += 1
    assert (steps, validations) == (12, 4)
    assert max(abs(w - 1 / 3) for w in expected) > 0.01


# ---- a resumed run ----


STATEFUL = [
    *(dict(type=f'torchjd.{name}') for name in ('DWA', 'FAMO', 'UW', 'IMTLL', 'GeometricMean')),
    GRADNORM,
    AMTL,
    dict(AMTL, form='arithmetic'),
    DTP,
]


def assert_same_end(ours: Path, theirs: Path) -> None:
    """The networks, and what is in the wrapper: weighting, optimizers and counts."""
    one, other = load(ours), load(theirs)
    for key in ('state_dict', 'optimizer'):
        assert_same(numbers(one[key]), numbers(other[key]), key)


@pytest.mark.parametrize('weighting', STATEFUL, ids=lambda w: w['type'] + w.get('form', ''))
def test_a_resumed_run_has_the_same_weights(weighting: dict, tmp_path: Path) -> None:
    """From an epoch's checkpoint, from one within an epoch, and from one at its last iteration."""
    validated = weighting in (AMTL, DTP) or 'form' in weighting
    each = dict(type='AtomicCheckpointHook', by_epoch=False, interval=1)
    cfg = config(tmp_path, weighting, validated, custom_hooks=[each])
    cfg.train_cfg.update(max_epochs=4, allocator=dict(type='STA', size=2))
    whole = tmp_path / 'whole'
    run(cfg, whole)
    for name in ('epoch_2', 'iter_6', 'iter_8'):
        folder = tmp_path / name
        run(cfg, folder, resume=whole / f'{name}.pth')
        assert_same_end(folder / 'epoch_4.pth', whole / 'epoch_4.pth')


def test_a_checkpoint_from_before_its_validation_is_validated_first(tmp_path: Path) -> None:
    """And only where a validation was due: after epochs 2 and 4."""
    cfg = config(tmp_path, AMTL, validated=True)
    cfg.train_cfg.update(max_epochs=4, val_begin=2, val_interval=2)
    whole = tmp_path / 'whole'
    run(cfg, whole)
    for number, epochs in ((1, [2, 4]), (2, [2, 4]), (3, [4])):
        folder = tmp_path / str(number)
        run(cfg, folder, resume=whole / f'epoch_{number}.pth')
        lines = scalars(folder)
        assert [line['step'] for line in lines if 'add/accuracy' in line] == epochs
        assert ('add/accuracy' in lines[0]) == (number == 2)
        assert_same_end(folder / 'epoch_4.pth', whole / 'epoch_4.pth')


def test_a_method_that_follows_no_validation_waits_for_the_next_one(tmp_path: Path) -> None:
    cfg = config(tmp_path, dict(type='torchjd.UW'), validated=True)
    whole, part = tmp_path / 'whole', tmp_path / 'part'
    run(cfg, whole)
    run(cfg, part, resume=whole / 'epoch_1.pth')
    assert sum('add/accuracy' in line for line in scalars(part)) == 1
    assert_same_end(part / 'epoch_2.pth', whole / 'epoch_2.pth')


# ---- what does not fit ----


def test_no_validation(tmp_path: Path) -> None:
    message = r'AMTLWeighting\).*set val_cfg, val_dataloader'
    fails_before_the_first_step(config(tmp_path, AMTL), tmp_path, ValueError, message)


def test_validations_that_never_come(tmp_path: Path) -> None:
    cfg = config(tmp_path, DTP, validated=True)
    cfg.train_cfg.update(val_begin=3)
    message = r'DTPWeighting.*train_cfg\.val_begin=3 is after the last of 2 epochs'
    fails_before_the_first_step(cfg, tmp_path, ValueError, message)


@pytest.mark.parametrize('kind', ['in turn', 'task by task'])
def test_famo_needs_all_tasks_in_one_step(kind: str, tmp_path: Path) -> None:
    famo = dict(type='torchjd.FAMO')
    cfg = config(tmp_path, famo)
    if kind == 'in turn':
        cfg = in_turn(cfg)
    else:
        cfg.optim_wrapper = dict(GRADSPLIT, weighting=famo)
    message = r'torchjd\.FAMO.*compares the losses of all tasks before and after one update'
    fails_before_the_first_step(cfg, tmp_path, ValueError, message)


def test_a_metric_that_is_not_there(tmp_path: Path) -> None:
    references = {f'{task}/mIoU': 50.0 for task in TASKS}
    cfg = config(tmp_path, dict(type='AMTLWeighting', references=references), validated=True)
    with pytest.raises(KeyError, match=r"names \['add/mIoU'.*add/accuracy"):
        run(cfg, tmp_path)
