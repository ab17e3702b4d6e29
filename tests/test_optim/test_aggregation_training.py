"""Aggregators in round-robin training, in mixed precision, over a resume, and out of place."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fixtures_training import assert_same, load, run, scalars
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from torchjd.aggregation import MGDA, UPGrad
from toy_aggregation import (
    ARGUMENTS,
    batch_of,
    joint_batch,
    joint_step,
    task_loss,
    task_matrix,
    toy,
    values,
    wrapper_of,
)
from toy_joint import TASKS, joint_config

from mmgradsplit.apis.preparation import prepare, use_mixed_precision
from mmgradsplit.optim import AutocastAggregatorOptimWrapper
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


def task_step(model: Any, wrapper: Any, task: str, samples: list[int]) -> None:
    model.train_step(dict(batch_of(samples), task=task), optim_wrapper=wrapper)


def test_one_update_from_the_task_gradients_of_a_major_iteration() -> None:
    model = toy()
    rows = [task_matrix(model, SAMPLES[task], [task]) for task in TASKS]
    expected = MGDA()(torch.cat(rows))
    own = {}
    for task in TASKS:
        head = list(model.tasks[task].parameters())
        loss = task_loss(model, task, SAMPLES[task])[0]
        own[task] = torch.cat([part.flatten() for part in torch.autograd.grad(loss, head)])
    wrapper = wrapper_of(model, 'MGDA')
    before = values(model.parameters())
    heads = {task: values(model.tasks[task].parameters()) for task in TASKS}
    backbone = values(model.backbone.parameters())
    for task in TASKS:
        assert torch.equal(values(model.parameters()), before)
        task_step(model, wrapper, task, SAMPLES[task])
    found = backbone - values(model.backbone.parameters())
    torch.testing.assert_close(found, expected, **CLOSE)
    for task in TASKS:
        change = heads[task] - values(model.tasks[task].parameters())
        torch.testing.assert_close(change, own[task], **CLOSE)


def test_accumulation_counts_major_iterations() -> None:
    optimizer = dict(type='SGD', lr=0.02, momentum=0.9)
    parts, joined = toy(), toy()
    many = wrapper_of(parts, 'UPGrad', optimizer=optimizer, accumulative_counts=2)
    one = wrapper_of(joined, 'UPGrad', optimizer=optimizer)
    # Three major iterations, which the loop counts as nine task steps; the last is an update alone.
    many.initialize_count_status(parts, 0, 9)
    for samples in ([0, 1], [2, 3], [4, 5]):
        for task in TASKS:
            task_step(parts, many, task, samples)
    for samples in ([0, 1, 2, 3], [4, 5]):
        for task in TASKS:
            task_step(joined, one, task, samples)
    for name, value in joined.state_dict().items():
        torch.testing.assert_close(parts.state_dict()[name], value, **CLOSE, msg=name)


def test_round_robin_needs_the_tasks_in_turn_and_no_features() -> None:
    model = toy()
    wrapper = wrapper_of(model, 'MGDA')
    task_step(model, wrapper, 'add', [0])
    with pytest.raises(ValueError, match="that of 'norm' came in place of 'first'"):
        task_step(model, wrapper, 'norm', [0])
    with pytest.raises(ValueError, match=r"on='features'.*its own images"):
        task_step(model, wrapper_of(model, 'MGDA', on='features'), 'add', [0])


@pytest.mark.parametrize('name', known_aggregators())
def test_every_aggregator_trains_round_robin(name: str) -> None:
    model = toy()
    wrapper = wrapper_of(model, name, optimizer=dict(type='SGD', lr=0.01))
    before = values(model.parameters())
    for step in range(20):
        for task in TASKS:
            task_step(model, wrapper, task, [step % 12, (step + 5) % 12])
    after = values(model.parameters())
    assert after.isfinite().all()
    assert (after != before).all()


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
    with pytest.raises(ValueError, match='has the state of another one than GradVac'):
        run(other, tmp_path, resume='auto')


def test_weights_of_the_tasks_are_logged(tmp_path: Path) -> None:
    run(joint_config(tmp_path, optim_wrapper=aggregating('Constant')), tmp_path)
    for line in scalars(tmp_path):
        found = [line[f'aggregator/{task}'] for task in TASKS]
        assert found == pytest.approx([0.5, 0.2, 0.3])


def test_ista_with_uncertainty_weighting(tmp_path: Path) -> None:
    cfg = joint_config(
        tmp_path,
        optim_wrapper=aggregating('PCGrad'),
        model__weighting=dict(type='torchjd.UW'),
        train_cfg__allocator=dict(type='ISTA'),
    )
    model = run(cfg, tmp_path).model
    assert values(model.parameters()).isfinite().all()
    learned = load(tmp_path / 'epoch_2.pth')['state_dict']['weighting.scalarizer.log_var']
    assert (learned != 0).all()


# ---- mixed precision ----


def test_amp_takes_the_aggregator_along(tmp_path: Path) -> None:
    cfg = prepare(joint_config(tmp_path, optim_wrapper=aggregating('UPGrad')), tmp_path)
    use_mixed_precision(cfg)
    if not torch.cuda.is_available():
        assert cfg.optim_wrapper.type == 'mmgradsplit.AutocastAggregatorOptimWrapper'
        wrapper = build_optim_wrapper(toy(), cfg.optim_wrapper)
        assert isinstance(wrapper, AutocastAggregatorOptimWrapper)
    else:
        assert cfg.optim_wrapper.type == 'mmgradsplit.AmpAggregatorOptimWrapper'


@pytest.mark.parametrize('on', ['backbone', 'features'])
def test_autocast(on: str) -> None:
    """The features are in bfloat16; the aggregator sees their gradients in float32."""
    model = toy().float()
    kind = 'mmgradsplit.AutocastAggregatorOptimWrapper'
    wrapper = wrapper_of(model, 'UPGrad', type=kind, on=on, optimizer=dict(type='SGD', lr=0.01))
    seen = []
    wrapper.aggregator.gramian_weighting.register_forward_pre_hook(
        lambda _, args: seen.append(args[0].dtype)
    )
    features = []
    model.backbone.register_forward_hook(lambda _, args, out: features.append(out[0].dtype))
    before = values(model.parameters())
    batch = joint_batch([0, 1, 2])
    batch['inputs'] = [image.float() for image in batch['inputs']]
    model.train_step(batch, optim_wrapper=wrapper)
    assert seen == [torch.float32] and features == [torch.bfloat16]
    after = values(model.parameters())
    assert after.isfinite().all() and (after != before).any()


def scaled_wrapper(model: Any, name: str, monkeypatch: pytest.MonkeyPatch, **cfg: Any) -> Any:
    """The wrapper with a loss scaler that works on the CPU."""
    module = 'mmengine.optim.optimizer.amp_optimizer_wrapper'
    monkeypatch.setattr(f'{module}.is_cuda_available', lambda: True)
    monkeypatch.setattr(
        f'{module}.GradScaler', lambda **options: torch.amp.GradScaler('cpu', **options)
    )
    kind = 'mmgradsplit.AmpAggregatorOptimWrapper'
    return wrapper_of(model, name, type=kind, loss_scale=dict(init_scale=1024.0), **cfg)


# FairGrad's weights are not those of gradients 1,024 times as large.
@pytest.mark.parametrize('options', [{}, dict(on='features'), dict(clip_grad=dict(max_norm=0.1))])
def test_loss_scaling_does_not_show(options: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, ours = toy(), toy()
    optimizer = dict(type='SGD', lr=0.05)
    one = wrapper_of(plain, 'FairGrad', optimizer=optimizer, **options)
    other = scaled_wrapper(ours, 'FairGrad', monkeypatch, optimizer=optimizer, **options)
    for step in range(3):
        joint_step(plain, one, [step, step + 1])
        joint_step(ours, other, [step, step + 1])
    assert float(other.loss_scaler.get_scale()) == 1024
    torch.testing.assert_close(
        values(ours.parameters()), values(plain.parameters()), rtol=1e-6, atol=1e-8
    )


@pytest.mark.parametrize('on', ['backbone', 'features'])
def test_an_overflow_skips_the_update_and_lowers_the_scale(
    on: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = toy()
    wrapper = scaled_wrapper(model, 'CAGrad', monkeypatch, on=on)
    before = values(model.parameters())
    head = model.tasks['norm'].head
    handle = head.register_forward_hook(lambda _, args, out: out * 1e200)
    joint_step(model, wrapper, [0, 1])
    handle.remove()
    assert torch.equal(values(model.parameters()), before)
    assert float(wrapper.loss_scaler.get_scale()) == 512
    joint_step(model, wrapper, [0, 1])
    assert values(model.parameters()).isfinite().all()
    assert not torch.equal(values(model.parameters()), before)


def test_task_specific_norms() -> None:
    """Every task has a backbone pass and norms of its own; the rest of the backbone is shared."""
    from toy import TASKS as COLOURS
    from toy import toy_batch, toy_loss, toy_model

    model = toy_model(torch.float64, norm_cfg=dict(type='mmgradsplit.TaskNorm'))
    with pytest.raises(ValueError, match=r"features of their own.*use on='backbone'"):
        wrapper_of(model, 'UPGrad', on='features')
    wrapper = wrapper_of(model, 'UPGrad')
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
        model.train_step(batches[task], optim_wrapper=wrapper)
    torch.testing.assert_close(before - values(shared), UPGrad()(torch.stack(rows)), **CLOSE)
    torch.testing.assert_close(norm.detach(), expected_norm, **CLOSE)
