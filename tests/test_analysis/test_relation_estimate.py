"""Relations from one training: the lookahead, the hook, and the comparison with other relations."""

import json
import os
import runpy
import socket
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from fixtures_training import assert_same, load, run, tiny_config, write_data
from mmengine.config import Config
from torch import Tensor, nn
from toy import TASKS, build_wrapper, snapshot, toy_batch, toy_loss, toy_model

from mmgradsplit.analysis import RelationEstimateHook
from mmgradsplit.analysis.hooks.relation_estimate import learning_rate
from mmgradsplit.analysis.lookahead import lookahead_changes, stepped
from mmgradsplit.analysis.task_gradients import (
    module_parameters,
    preprocessed,
    replica_of,
    task_gradients,
)
from mmgradsplit.functional import cosine_matrix
from mmgradsplit.optim import load_changes, load_mask
from mmgradsplit.studies import compare_relations

ROOT = Path(__file__).resolve().parents[2]
THREE = ('attribute', 'reid', 'parsing')
HOOK = dict(type='RelationEstimateHook', interval=2, samples=4, repeats=2)
FILES = ('relations_estimate_cosine.json', 'relations_estimate_loss.json')


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp('data'))


# ---- lookahead ----

CENTERS = dict(a=(1.0, 0.0), b=(3.0, 0.0), c=(-2.0, 1.0))


class Quadratic(nn.Module):
    """Task t's loss is half the squared distance from its centre, plus 1."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros(2))

    def forward(self, task: str, mode: str) -> dict[str, Tensor]:
        center = torch.tensor(CENTERS[task])
        return {'loss': 0.5 * (self.w - center).square().sum() + 1}

    @staticmethod
    def parse_losses(losses: dict[str, Tensor]) -> tuple[Tensor, dict]:
        return losses['loss'], losses


def test_loss_changes_of_a_quadratic() -> None:
    model = Quadratic()
    data = {task: dict(task=task) for task in CENTERS}
    gradients = task_gradients(model, data, {'w': [model.w]}, 0)
    rates = dict(a=0.1, b=0.2, c=0.3)
    changes = lookahead_changes(
        model, [model.w], {t: g['w'] for t, g in gradients.items()}, data, rates, 0
    )

    def loss(w: np.ndarray, task: str) -> float:
        return 0.5 * float(((w - CENTERS[task]) ** 2).sum()) + 1

    for i, source in enumerate(CENTERS):
        # From the origin, the step goes towards the source's centre.
        after = rates[source] * np.array(CENTERS[source])
        for j, target in enumerate(CENTERS):
            expected = 0.0 if i == j else 1 - loss(after, target) / loss(np.zeros(2), target)
            assert changes[i, j] == pytest.approx(expected, rel=1e-5)
    assert changes[0, 1] > 0 > changes[0, 2]  # b is on the same side as a, c on the other
    assert torch.equal(model.w, torch.zeros(2))


def test_a_step_is_that_of_sgd_and_is_undone_exactly() -> None:
    model, twin = toy_model(), toy_model()
    parameters = list(model.backbone.parameters())
    batch = toy_batch('green', 0)
    data = preprocessed(model, {'green': batch}, 0)
    (of,) = task_gradients(model, data, {'all': parameters}, 0).values()
    optimizer = torch.optim.SGD(twin.backbone.parameters(), lr=0.5)
    toy_loss(twin, batch).backward()
    optimizer.step()
    before = snapshot(model)
    with pytest.raises(RuntimeError, match='stop'), stepped(parameters, of['all'], 0.5):
        for ours, theirs in zip(parameters, twin.backbone.parameters(), strict=True):
            torch.testing.assert_close(ours, theirs)
            assert ours.grad is None
        raise RuntimeError('stop')
    assert_same(snapshot(model), before)


def test_a_loss_that_is_zero_says_nothing() -> None:
    class Done(Quadratic):
        def forward(self, task: str, mode: str) -> dict[str, Tensor]:
            losses = super().forward(task, mode)
            return {'loss': losses['loss'] - 1 - 0.5} if task == 'a' else losses

    model = Done()
    data = {task: dict(task=task) for task in CENTERS}
    gradients = {task: torch.ones(2) for task in CENTERS}
    changes = lookahead_changes(model, [model.w], gradients, data, dict.fromkeys(CENTERS, 0.1), 0)
    assert np.isnan(changes).tolist() == [[False] * 3, [True, False, False], [True, False, False]]


def test_the_learning_rate_is_that_of_the_tasks_optimizer() -> None:
    wrapper = build_wrapper(toy_model())
    for rate, task in enumerate(TASKS):
        for group in wrapper.optim_wrappers[task].optimizer.param_groups:
            group['lr'] = rate
    assert [learning_rate(wrapper, task) for task in TASKS] == [0, 1, 2]
    shared = build_wrapper(toy_model(), optimizers='shared', optimizer=dict(type='SGD', lr=0.25))
    assert learning_rate(shared, TASKS[0]) == 0.25
    with pytest.raises(KeyError, match='brown'):
        learning_rate(wrapper, 'brown')


# ---- the hook ----


def config(data: Path, *hooks: dict, **options: Any) -> Config:
    cfg = tiny_config(
        data, THREE, optim_wrapper__relations='all', val_cfg=None, val_dataloader=None,
        val_evaluator=None, **options,
    )  # fmt: skip
    cfg.custom_hooks = list(hooks)
    # Statistics that a forward pass moves, and random numbers that it draws.
    head = cfg.model.tasks.parsing.decode_head
    head.norm_cfg, head.dropout_ratio = dict(type='BN'), 0.5
    return cfg


HELD_OUT = dict(attribute=dict(dataset=dict(split='val')))


@pytest.fixture(scope='module')
def estimated(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('estimated')
    run(config(data, HOOK | dict(held_out=HELD_OUT)), folder)
    return folder


def relations_in(folder: Path) -> list[dict]:
    """The files, without what depends on the time."""
    contents = [json.loads((folder / name).read_text()) for name in FILES]
    return [{key: of[key] for key in of if key != 'cost'} for of in contents]


def test_training_is_bit_for_bit_the_same(data: Path, tmp_path: Path, estimated: Path) -> None:
    run(config(data), tmp_path)
    bare, ours = load(tmp_path / 'epoch_2.pth'), load(estimated / 'epoch_2.pth')
    assert_same(ours['state_dict'], bare['state_dict'])
    assert_same(ours['optimizer'], bare['optimizer'])


def test_the_files_are_relations(estimated: Path) -> None:
    for method, name in zip(('cosine', 'loss'), FILES, strict=True):
        content = json.loads((estimated / name).read_text())
        changes = load_changes(str(estimated / name), THREE)
        assert content['method'] == method
        assert content['threshold'] == 0
        assert content['measurements'] == 6  # after iterations 2, 4 and 6, two each
        assert content['provenance']['iterations'] == 6
        assert content['cost']['seconds'] > 0
        assert 0 < content['cost']['share_of_training'] < 1
        assert set(content['spread']) == set(content['relations'])
        assert all(value > 0 for value in content['spread'].values())
        # Each task helps itself, and the mask is that of the file's own threshold.
        mask = load_mask(str(estimated / name), THREE, content['threshold'])
        negative = {f'{THREE[s]} -> {THREE[t]}' for t, s in np.argwhere(~mask)}
        assert set(content['negative']) == negative
        assert not any(changes.diagonal())
        symmetric = np.allclose(changes, changes.T, atol=0)
        assert symmetric == (method == 'cosine')
    assert np.abs(load_changes(str(estimated / FILES[0]), THREE)).max() <= 1


def test_the_estimate_is_the_mean_of_its_measurements(estimated: Path) -> None:
    state = load(estimated / 'epoch_2.pth')['message_hub']['runtime_info'][
        'custom_hooks.RelationEstimateHook'
    ]
    for method, name in zip(('cosine', 'loss'), FILES, strict=True):
        measured = np.array(state[method])
        assert measured.shape == (6, 3, 3)
        changes = load_changes(str(estimated / name), THREE)
        off_diagonal = ~np.eye(3, dtype=bool)
        np.testing.assert_allclose(measured.mean(0)[off_diagonal], changes[off_diagonal])


def test_the_first_measurement_is_that_of_the_first_weights(data: Path, tmp_path: Path) -> None:
    """Repeated by hand: the same batches, on the network after the first iteration."""
    cfg = config(data, HOOK | dict(interval=1, repeats=1), train_cfg__iters_per_epoch=1)
    cfg.train_cfg.max_epochs = 1
    runner = run(cfg, tmp_path)
    (hook,) = [hook for hook in runner.hooks if isinstance(hook, RelationEstimateHook)]
    model = replica_of(runner.model)
    (measured,) = hook.state['cosine']
    gradients = []
    for task in ('attribute', 'reid'):
        batch = preprocessed(model, {task: hook.batches.at(0)[task]}, 0)[task]
        model.zero_grad()
        losses = model.tasks[task](batch['inputs'], batch['data_samples'], mode='loss')
        sum(value for name, value in losses.items() if 'loss' in name).backward()
        parameters = module_parameters(model.backbone, ['layer4'])['layer4']
        gradients.append(torch.cat([p.grad.flatten() for p in parameters]))
    assert measured[0][1] == pytest.approx(cosine_matrix(gradients)[0, 1], abs=1e-6)


def test_held_out_samples_are_others(data: Path, tmp_path: Path) -> None:
    runner = run(config(data, HOOK | dict(held_out=HELD_OUT)), tmp_path)
    (hook,) = [hook for hook in runner.hooks if isinstance(hook, RelationEstimateHook)]
    steps, losses = hook.batches.at(0), hook.losses_on.at(1)
    for task in THREE:
        seen = {sample.img_path for sample in steps[task]['data_samples']}
        held_out = {sample.img_path for sample in losses[task]['data_samples']}
        assert not seen & held_out
        assert all('val' in Path(path).name for path in held_out) == (task == 'attribute')
    # With the labels that the losses of training need.
    assert 'gt_sem_seg' in losses['parsing']['data_samples'][0]


def test_a_resumed_run_estimates_the_same(data: Path, tmp_path: Path, estimated: Path) -> None:
    hook = HOOK | dict(held_out=HELD_OUT)
    # PolyLR's end is in the schedule, so the shorter run has the same rates.
    run(config(data, hook, train_cfg__max_epochs=1), tmp_path)
    assert relations_in(tmp_path)[0]['measurements'] == 2
    run(config(data, hook), tmp_path, resume='auto')
    assert relations_in(tmp_path) == relations_in(estimated)


def test_gradsplit_trains_with_the_estimate(data: Path, tmp_path: Path, estimated: Path) -> None:
    cfg = config(data, train_cfg__max_epochs=1)
    cfg.optim_wrapper.update(relations=str(estimated / FILES[1]), threshold=0.0)
    runner = run(cfg, tmp_path)
    content = json.loads((estimated / FILES[1]).read_text())
    assert (~runner.optim_wrapper.mask).sum() == len(content['negative'])


def test_missing_data_is_named(data: Path, tmp_path: Path) -> None:
    held_out = dict(attribute=dict(dataset=dict(data_root='nowhere')))
    with pytest.raises(FileNotFoundError, match=r"task 'attribute'.*no folder 'nowhere'"):
        run(config(data, HOOK | dict(held_out=held_out)), tmp_path)


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (dict(held_out=dict(pose={})), r"RelationEstimateHook\.held_out names \['pose'\]"),
        (dict(interval=0), r'RelationEstimateHook\.interval must be at least 1'),
        (dict(modules=['head']), r"RelationEstimateHook\.modules: 'head' matches no module"),
    ],
)
def test_a_wrong_option_is_an_error(data: Path, tmp_path: Path, options: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        run(config(data, HOOK | options), tmp_path)


def train_as(rank: int, cfg: Config, work_dir: Path, port: int) -> None:
    place = dict(RANK=rank, LOCAL_RANK=rank, WORLD_SIZE=2, MASTER_PORT=port)
    os.environ.update({key: str(value) for key, value in place.items()})
    os.environ.update(MASTER_ADDR='127.0.0.1', CUDA_VISIBLE_DEVICES='')
    torch.set_num_threads(1)
    run(cfg, work_dir, launcher='pytorch')
    dist.destroy_process_group()


def test_all_processes_measure(data: Path, tmp_path: Path) -> None:
    """The triplet loss of re-identification exchanges embeddings: none may measure alone."""
    conflicts = dict(type='ConflictFrequencyHook', interval=2, samples=4, repeats=1)
    cfg = config(data, HOOK, conflicts, train_cfg__max_epochs=1)
    with socket.socket() as place:
        place.bind(('127.0.0.1', 0))
        port = place.getsockname()[1]
    # Forked, they have imported everything already.
    mp.start_processes(train_as, (cfg, tmp_path, port), nprocs=2, start_method='fork')
    # One measurement of two repeats in each of two processes.
    assert [content['measurements'] for content in relations_in(tmp_path)] == [4, 4]
    (measurement,) = json.loads((tmp_path / 'conflicts.json').read_text())['measurements']
    assert measurement['layers']['layer4.0']['frequency'][0][1] in (0, 0.5, 1)


# ---- comparison ----


def write(path: Path, threshold: float | None, **relations: float) -> Path:
    content: dict[str, Any] = {
        'relations': {name.replace('__', ' -> '): value for name, value in relations.items()}
    }
    if threshold is not None:
        content['threshold'] = threshold
    path.write_text(json.dumps(content))
    return path


def test_two_files_are_compared_at_their_own_thresholds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    measured = write(
        tmp_path / 'measured.json', None,
        a__b=-0.05, b__a=-0.005, a__c=0.02, c__a=0.0, b__c=-0.2, c__b=0.1,
    )  # fmt: skip
    estimate = write(
        tmp_path / 'estimate.json', 0.0,
        a__b=-5e-5, b__a=-1e-6, a__c=2e-5, c__a=1e-7, b__c=-1e-4, c__b=1e-4,
    )  # fmt: skip
    agreement = compare_relations(measured, estimate)
    assert (agreement.same, agreement.pairs) == (5, 6)  # -0.005 is above -0.01
    assert agreement.rank_correlation == pytest.approx(1)
    assert compare_relations(measured, estimate, [0.0]).same == 6
    monkeypatch.setattr(
        sys, 'argv', ['tool', str(measured), str(estimate), '--threshold', '-0.01', '0']
    )
    capsys.readouterr()
    runpy.run_path(str(ROOT / 'tools/analysis_tools/compare_relations.py'), run_name='__main__')
    words = capsys.readouterr().out
    assert 'agree on 5 of 6 relations (83%)' in words.replace('\n', ' ')
    assert words.count('✗') == 1
    with pytest.raises(ValueError, match='--threshold'):
        compare_relations(measured, estimate, [0.0] * 3)


def test_files_of_other_tasks_are_an_error(tmp_path: Path) -> None:
    measured = write(tmp_path / 'measured.json', None, a__b=0.1, b__a=0.1)
    other = write(tmp_path / 'other.json', None, a__c=0.1, c__a=0.1)
    with pytest.raises(ValueError, match=r"other\.json' has no number for 'a -> b'"):
        compare_relations(measured, other)
    with pytest.raises(FileNotFoundError, match='nowhere'):
        compare_relations(measured, tmp_path / 'nowhere.json')
