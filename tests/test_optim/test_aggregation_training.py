"""Aggregators in round-robin training, in whole runs, and over a resume."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fixtures_dense import dense_config, write_nyud
from fixtures_training import assert_same, load, run, scalars
from mmengine.config import Config
from torchjd.aggregation import MGDA, UPGrad
from toy import TASKS as COLOURS
from toy import assert_close, task_step, toy_batch, toy_loss, toy_model
from toy_aggregation import ARGUMENTS, batch_of, task_loss, task_matrix, toy, values, wrapper_of
from toy_joint import TASKS, joint_config

from mmgradsplit.optim.aggregation.aggregators import known_aggregators

SAMPLES = dict(add=[0, 1, 2], first=[3, 4], norm=[5, 6, 7, 8])
CLOSE = dict(rtol=1e-10, atol=1e-12)


def aggregating(name: str, **cfg: Any) -> dict[str, Any]:
    """The key ``optim_wrapper`` of a config."""
    return dict(
        type='AggregatorOptimWrapper',
        optimizer=dict(type='SGD', lr=0.02, momentum=0.9),
        aggregator=dict(type=f'torchjd.{name}', **ARGUMENTS.get(name, {})),
        **cfg,
    )


def round_robin(work_dir: Path, **options: Any) -> Config:
    cfg = joint_config(work_dir, **options)
    cfg.train_dataloader = dict.fromkeys(TASKS, cfg.train_dataloader)
    cfg.train_cfg = dict(type='RoundRobinTrainLoop', max_epochs=2, iters_per_epoch=3)
    return cfg


# ---- round-robin training ----


def major_iteration(model: Any, wrapper: Any, samples: list[int]) -> None:
    for task in TASKS:
        task_step(model, wrapper, dict(batch_of(samples), task=task))


def test_one_update_from_the_task_gradients_of_a_major_iteration() -> None:
    model = toy()
    rows = [task_matrix(model, SAMPLES[task], [task]) for task in TASKS]
    expected = MGDA()(torch.cat(rows))
    own = {}
    for task in TASKS:
        head = list(model.tasks[task].parameters())
        loss = task_loss(model, task, SAMPLES[task])[0]
        own[task] = torch.cat([part.flatten() for part in torch.autograd.grad(loss, head)])
    wrapper = wrapper_of(model, 'MGDA', task_steps=True)
    before = values(model.parameters())
    heads = {task: values(model.tasks[task].parameters()) for task in TASKS}
    backbone = values(model.backbone.parameters())
    for task in TASKS:
        assert torch.equal(values(model.parameters()), before)
        task_step(model, wrapper, dict(batch_of(SAMPLES[task]), task=task))
    found = backbone - values(model.backbone.parameters())
    torch.testing.assert_close(found, expected, **CLOSE)
    for task in TASKS:
        change = heads[task] - values(model.tasks[task].parameters())
        torch.testing.assert_close(change, own[task], **CLOSE)


def test_accumulation_counts_major_iterations() -> None:
    optimizer = dict(type='SGD', lr=0.02, momentum=0.9)
    parts, joined = toy(), toy()
    options = dict(task_steps=True, optimizer=optimizer)
    # Three major iterations, of which the last is an update alone.
    many = wrapper_of(parts, 'UPGrad', total=3, accumulative_counts=2, **options)
    one = wrapper_of(joined, 'UPGrad', **options)
    for samples in ([0, 1], [2, 3], [4, 5]):
        major_iteration(parts, many, samples)
    for samples in ([0, 1, 2, 3], [4, 5]):
        major_iteration(joined, one, samples)
    assert_close(parts, joined)


def test_features_of_different_images_are_not_aggregated() -> None:
    with pytest.raises(ValueError, match=r"on='features'.*its own images"):
        wrapper_of(toy(), 'MGDA', task_steps=True, on='features')


@pytest.mark.parametrize('name', known_aggregators())
def test_every_aggregator_trains_round_robin(name: str) -> None:
    model = toy()
    wrapper = wrapper_of(model, name, task_steps=True, optimizer=dict(type='SGD', lr=0.01))
    before = values(model.parameters())
    for step in range(20):
        major_iteration(model, wrapper, [step % 12, (step + 5) % 12])
    after = values(model.parameters())
    assert after.isfinite().all()
    assert (after != before).all()


def test_task_specific_norms() -> None:
    """Every task has a backbone pass and norms of its own; the rest of the backbone is shared."""
    model = toy_model(torch.float64, norm_cfg=dict(type='mmgradsplit.TaskNorm'))
    with pytest.raises(ValueError, match=r"features of their own.*use on='backbone'"):
        wrapper_of(model, 'UPGrad', on='features')
    wrapper = wrapper_of(model, 'UPGrad', task_steps=True)
    own = {param for task in COLOURS for param in model.own_parameters(task)}
    shared = [param for param in model.backbone.parameters() if param not in own]
    norm = model.backbone.bn1['green'].weight
    batches = {task: toy_batch(task, 0, dtype=torch.float64) for task in COLOURS}
    rows = []
    for task in COLOURS:
        model.backbone_pass.task = task
        loss = toy_loss(model, batches[task])
        found = torch.autograd.grad(loss, [norm, *shared], allow_unused=True)
        assert (found[0] is None) == (task != 'green')
        if found[0] is not None:
            expected_norm = norm.detach() - found[0]
        rows.append(torch.cat([part.flatten() for part in found[1:]]))
    before = values(shared)
    for task in COLOURS:
        task_step(model, wrapper, batches[task])
    torch.testing.assert_close(before - values(shared), UPGrad()(torch.stack(rows)), **CLOSE)
    torch.testing.assert_close(norm.detach(), expected_norm, **CLOSE)


# ---- whole runs ----


@pytest.mark.parametrize('name', ['PCGrad', 'GradVac', 'PCD', 'NashMTL', 'ExcessMTL'])
@pytest.mark.parametrize('config', [joint_config, round_robin])
def test_a_resumed_run_ends_where_the_whole_one_does(
    name: str, config: Callable, tmp_path: Path
) -> None:
    cfg = config(tmp_path, optim_wrapper=aggregating(name))
    whole, parts = tmp_path / 'whole', tmp_path / 'parts'
    run(cfg, whole)
    for epochs in (1, 2):
        run(cfg, parts, resume='auto', cfg_options={'train_cfg.max_epochs': epochs})
    ours, theirs = (load(folder / 'epoch_2.pth')['state_dict'] for folder in (parts, whole))
    assert_same(ours, theirs)


def test_resuming_with_another_aggregator_is_refused(tmp_path: Path) -> None:
    run(
        joint_config(tmp_path, optim_wrapper=aggregating('PCD')),
        tmp_path,
        cfg_options={'train_cfg.max_epochs': 1},
    )
    other = joint_config(tmp_path, optim_wrapper=aggregating('GradVac'))
    with pytest.raises(ValueError, match=r"aggregator: .* state of 'PCD', another .* 'GradVac'"):
        run(other, tmp_path, resume='auto')


def test_weights_of_the_tasks_are_logged(tmp_path: Path) -> None:
    run(joint_config(tmp_path, optim_wrapper=aggregating('Constant')), tmp_path)
    for line in scalars(tmp_path):
        found = [line[f'aggregator/{task}'] for task in TASKS]
        assert found == pytest.approx([0.5, 0.2, 0.3])


def test_ista_with_uncertainty_weighting(tmp_path: Path) -> None:
    cfg = joint_config(
        tmp_path,
        optim_wrapper=aggregating('PCGrad', weighting=dict(type='torchjd.UW')),
        train_cfg__allocator=dict(type='ISTA'),
    )
    model = run(cfg, tmp_path).model
    assert values(model.parameters()).isfinite().all()
    learned = load(tmp_path / 'epoch_2.pth')['optimizer']['weighting']
    assert (learned['scalarizer.log_var'] != 0).all()


@pytest.mark.parametrize(
    'options',
    [
        dict(aggregator=dict(type='torchjd.PCGrad')),
        dict(aggregator=dict(type='torchjd.GradDrop'), on='features'),
        dict(aggregator=dict(type='torchjd.IMTLG'), on=['layer4.1'], clip_grad=dict(max_norm=1.0)),
    ],
)
def test_heads_and_losses_of_the_toolboxes(options: dict, tmp_path: Path) -> None:
    tasks = ('seg', 'depth', 'normal')
    data = write_nyud(tmp_path / 'data')
    cfg = dense_config('ista_r18_scenes', data, tmp_path / 'run', tasks)
    cfg.optim_wrapper.update(type='AggregatorOptimWrapper', **options)
    run(cfg, tmp_path / 'run')
    first = next(line for line in scalars(tmp_path / 'run') if 'loss' in line)
    assert all(f'{task}/decode.loss' in ' '.join(first) for task in tasks), first
    if options['aggregator']['type'] != 'torchjd.GradDrop':
        assert all(f'aggregator/{task}' in first for task in tasks)
