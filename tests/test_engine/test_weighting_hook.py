"""Weightings in joint training: what they are told, what is logged, and that a resume is exact."""

import math
from pathlib import Path

import pytest
import torch
from fixtures_training import assert_same, build, load, run, scalars
from torchjd import scalarization
from toy_joint import TASKS, ToyScenes
from toy_weighting import AMTL, DTP, GRADNORM, GRADSPLIT, SINGLE, config, numbers

METHODS = [name for name in scalarization.__all__ if name != 'Scalarizer']
OPTIONS: dict[str, dict] = dict(
    Constant=dict(weights=dict(zip(TASKS, (0.5, 1.0, 2.0), strict=True))),
    COSMOS=dict(lambda_=0.5, weights=[1.0, 2.0, 3.0]),
    PBI=dict(theta=0.1, weights=[1.0, 2.0, 3.0]),
    STCH=dict(mu=0.5),
)


@pytest.mark.parametrize('method', [*METHODS, 'GradNorm'])
def test_twenty_iterations_of_every_method(method: str, tmp_path: Path) -> None:
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
        model = run(cfg, folder).model
        weights = [[line[f'weight/{task}'] for task in TASKS] for line in scalars(folder)]
        if method == 'DWA':
            assert all(value == [1.0, 1.0, 1.0] for value in weights[:before])
            assert all(value != [1.0, 1.0, 1.0] for value in weights[before:])
        else:
            assert (model.weighting.scalarizer._w != 0).all()


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


STATEFUL = [
    *(dict(type=f'torchjd.{name}') for name in ('DWA', 'FAMO', 'UW', 'IMTLL', 'GeometricMean')),
    GRADNORM,
    AMTL,
    dict(AMTL, form='arithmetic'),
    DTP,
]


@pytest.mark.parametrize('weighting', STATEFUL, ids=lambda w: w['type'] + w.get('form', ''))
def test_a_resumed_run_has_the_same_weights(weighting: dict, tmp_path: Path) -> None:
    """From an epoch's checkpoint, from one within an epoch, and from one at its last iteration."""
    validated = weighting in (AMTL, DTP) or 'form' in weighting
    hooks = [
        dict(type='WeightingHook'),
        dict(type='AtomicCheckpointHook', by_epoch=False, interval=1),
    ]
    cfg = config(tmp_path, weighting, validated, custom_hooks=hooks)
    cfg.train_cfg.update(max_epochs=4, allocator=dict(type='STA', size=2))
    whole = tmp_path / 'whole'
    run(cfg, whole)
    for name in ('epoch_2', 'iter_6', 'iter_8'):
        folder = tmp_path / name
        run(cfg, folder, resume=whole / f'{name}.pth')
        ours, theirs = load(folder / 'epoch_4.pth'), load(whole / 'epoch_4.pth')
        for key in ('state_dict', 'optimizer'):
            assert_same(numbers(ours[key]), numbers(theirs[key]), f'{name}.{key}')


def test_a_resumed_run_does_without_validations_that_were_not_due(tmp_path: Path) -> None:
    cfg = config(tmp_path, AMTL, validated=True)
    cfg.train_cfg.update(max_epochs=4, val_begin=2, val_interval=2)
    whole = tmp_path / 'whole'
    run(cfg, whole)
    for number, validations in ((1, 2), (2, 2), (3, 1)):
        folder = tmp_path / str(number)
        run(cfg, folder, resume=whole / f'epoch_{number}.pth')
        assert sum('add/accuracy' in line for line in scalars(folder)) == validations
        ours, theirs = (load(place / 'epoch_4.pth')['state_dict'] for place in (folder, whole))
        assert_same(ours, theirs)


@pytest.mark.parametrize('weighting', [dict(type='torchjd.DWA'), dict(type='torchjd.FAMO'), AMTL])
def test_no_hook(weighting: dict, tmp_path: Path) -> None:
    cfg = config(tmp_path, weighting, validated=True, custom_hooks=[])
    with pytest.raises(RuntimeError, match=r"add dict\(type='WeightingHook'\) to custom_hooks"):
        run(cfg, tmp_path)
    assert not list(tmp_path.glob('*.pth'))


def test_no_validation(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r'AMTLWeighting\).*set val_cfg, val_dataloader'):
        run(config(tmp_path, AMTL), tmp_path)


def test_validations_that_never_come(tmp_path: Path) -> None:
    cfg = config(tmp_path, AMTL, validated=True)
    cfg.train_cfg.update(val_begin=3)
    with pytest.raises(ValueError, match=r'train_cfg\.val_begin=3 is after the last of 2 epochs'):
        run(cfg, tmp_path)
    assert not list(tmp_path.glob('*.pth'))


def test_famo_does_not_go_task_by_task(tmp_path: Path) -> None:
    cfg = config(tmp_path, dict(type='torchjd.FAMO'), optim_wrapper=GRADSPLIT)
    with pytest.raises(ValueError, match='this training updates task by task'):
        run(cfg, tmp_path)


def test_a_metric_that_is_not_there(tmp_path: Path) -> None:
    references = {f'{task}/mIoU': 50.0 for task in TASKS}
    cfg = config(tmp_path, dict(type='AMTLWeighting', references=references), validated=True)
    with pytest.raises(KeyError, match=r"names \['add/mIoU'.*add/accuracy"):
        run(cfg, tmp_path)


def test_measuring_needs_no_hook(tmp_path: Path) -> None:
    model = build(config(tmp_path, dict(type='torchjd.DWA')), tmp_path).model
    data = [ToyScenes()[index] for index in range(2)]
    batch = dict(inputs=[part['inputs'] for part in data])
    samples = [part['data_samples'] for part in data]
    batch.update(data_samples=samples, allocation=torch.ones(2, 3, dtype=bool).numpy())
    loss, _ = model.parse_losses(model(**model.data_preprocessor(batch, True), mode='loss'))
    assert loss.isfinite()
