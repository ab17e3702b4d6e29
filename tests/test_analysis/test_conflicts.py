"""Task gradients, conflict frequencies, and the hook that measures them without a trace."""

import json
import random
import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fixtures_training import ALL, assert_same, load, run, scalars, tiny_config, write_data
from mmengine.model import BaseModel
from torch import Tensor, nn
from torch.utils.data import Dataset
from toy import (
    BACKBONE,
    TASKS,
    build_wrapper,
    held_channels,
    relations_of,
    snapshot,
    split_names,
    toy_batch,
    toy_loss,
    toy_model,
)
from toy_joint import joint_config

from mmgradsplit.analysis.conflicts import measure_cosines, summarize_cosines
from mmgradsplit.analysis.task_batches import TaskBatches, resized, task_dataloaders
from mmgradsplit.analysis.task_gradients import (
    module_parameters,
    preprocessed,
    replica_of,
    task_gradients,
)
from mmgradsplit.registry import DATASETS, MODELS
from mmgradsplit.utils.tracing import kept_generators

ROOT = Path(__file__).resolve().parents[2]
BLOCKS = ['layer1.0', 'layer2.0', 'layer3.0', 'layer4.0']
HOOK = dict(type='ConflictFrequencyHook', interval=2, samples=4, repeats=3)


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp('data'))


# ---- task gradients ----


def test_gradients_are_those_of_a_backward_pass() -> None:
    model = toy_model()
    parameters = module_parameters(model.backbone, ['layer4.0', 'layer1', 'layer4'])
    batches = {task: toy_batch(task, 0) for task in TASKS}
    before = snapshot(model)
    found = task_gradients(model, preprocessed(model, batches, 0), parameters, seed=0)
    assert all(p.grad is None for p in model.parameters())
    assert_same(snapshot(model), before)
    for task, batch in batches.items():
        model.zero_grad()
        toy_loss(model, batch).backward()
        assert list(found[task]) == ['layer4.0', 'layer1', 'layer4']
        for name, gradient in found[task].items():
            expected = torch.cat(
                [p.grad.flatten() for p in model.backbone.get_submodule(name).parameters()]
            )
            torch.testing.assert_close(gradient, expected)


def test_masked_gradients_are_what_gradsplit_trains_with() -> None:
    model = toy_model()
    mask = [[1, 1, 0], [0, 1, 1], [1, 0, 1]]
    wrapper = build_wrapper(model, relations=relations_of(mask), modules=['layer4'])
    split = split_names(model, 'layer4')
    parameters = {n: [p] for n, p in model.named_parameters() if n.startswith('backbone.layer4')}
    batches = {task: toy_batch(task, 0) for task in TASKS}
    whole = task_gradients(model, preprocessed(model, batches, 0), parameters, 0)
    masked = task_gradients(model, preprocessed(model, batches, 0), parameters, 0, wrapper.leaves)
    for number, task in enumerate(TASKS):
        for name, (parameter,) in parameters.items():
            held = held_channels(name, len(parameter), number, mask, split)
            expected = torch.zeros_like(parameter)
            expected[held] = whole[task][name].view_as(parameter)[held]
            assert torch.equal(masked[task][name].view_as(parameter), expected)


def test_the_default_is_the_first_block_of_every_stage() -> None:
    backbone = toy_model().backbone
    parameters = module_parameters(backbone)
    assert list(parameters) == BLOCKS
    assert [id(p) for p in parameters['layer2.0']] == [
        id(p) for p in backbone.layer2[0].parameters()
    ]
    assert list(module_parameters(backbone, ['layer[34].?'])) == [
        'layer3.0', 'layer3.1', 'layer4.0', 'layer4.1',
    ]  # fmt: skip


def test_modules_that_do_not_fit() -> None:
    backbone = toy_model().backbone
    with pytest.raises(ValueError, match=r"key: 'layer5' matches no module .*'layer4'"):
        module_parameters(backbone, ['layer5'], 'key')
    with pytest.raises(ValueError, match='no stages'):
        module_parameters(nn.Sequential(nn.Linear(1, 1)))
    backbone.layer1.requires_grad_(False)
    with pytest.raises(ValueError, match=r"'layer1\.0' has no parameter to train"):
        module_parameters(backbone)
    with pytest.raises(ValueError, match='MultiTaskModel'):
        replica_of(nn.Linear(1, 1))


# ---- conflicts ----


@MODELS.register_module(force=True)
class SignedTask(BaseModel):
    """Its loss grows, or falls, with the features."""

    def __init__(self, backbone: dict, sign: int) -> None:
        super().__init__()
        self.backbone = MODELS.build(backbone)
        self.sign = sign

    def forward(self, inputs: Tensor, data_samples: Any = None, mode: str = 'tensor') -> dict:
        (features,) = self.backbone(inputs)
        return {'loss': self.sign * features.square().mean()}


@DATASETS.register_module(force=True)
class Noise(Dataset):
    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> dict:
        generator = torch.Generator().manual_seed(index)
        return dict(inputs=torch.randn(3, 32, 32, generator=generator))


def noise(*tasks: str, samples: int = 4, seed: int = 0) -> TaskBatches:
    loader = dict(
        batch_size=6,
        num_workers=2,
        persistent_workers=True,
        dataset=dict(type='mmgradsplit.Noise'),
        sampler=dict(type='DefaultSampler', shuffle=True),
        collate_fn=dict(type='default_collate'),
    )
    return TaskBatches(dict.fromkeys(tasks, loader), samples, seed)


def test_opposite_tasks_always_conflict_and_equal_ones_never() -> None:
    signs = dict(up=1, also_up=1, down=-1)
    model = MODELS.build(
        dict(
            type='MultiTaskModel',
            backbone=BACKBONE,
            tasks={task: dict(type='mmgradsplit.SignedTask', sign=s) for task, s in signs.items()},
        )
    ).train()
    parameters = module_parameters(model.backbone)
    cosines = measure_cosines(model, noise(*signs), parameters, range(3))
    assert {name: of.shape for name, of in cosines.items()} == dict.fromkeys(BLOCKS, (3, 3, 3))
    for of in summarize_cosines(cosines).values():
        assert of['frequency'] == [[0, 0, 1], [0, 0, 1], [1, 1, 0]]
        signs_of = np.outer([1, 1, -1], [1, 1, -1])
        np.testing.assert_allclose(of['cosine_mean'], signs_of, atol=1e-5)
        np.testing.assert_allclose(of['cosine_std'], 0, atol=1e-5)


def test_measuring_leaves_the_generators_alone() -> None:
    def draw() -> list[float]:
        return [random.random(), np.random.rand(), torch.rand(1).item()]

    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    expected = draw()
    random.setstate(states[0])
    np.random.set_state(states[1])
    torch.set_rng_state(states[2])
    with kept_generators():
        noise('a').at(1)
    assert draw() == expected


# ---- batches ----


def test_a_batch_is_a_function_of_the_position() -> None:
    batches = noise('a')
    inputs = {position: batches.at(position)['a']['inputs'] for position in (0, 1, 5, 2, 0)}
    assert all(batch.shape == (4, 3, 32, 32) for batch in inputs.values())
    again = noise('a')
    for position in (5, 0, 2, 1):
        assert torch.equal(again.at(position)['a']['inputs'], inputs[position])
    # The first epoch shows each of the twelve samples once.
    epoch = torch.cat([inputs[position] for position in range(3)])
    assert len(torch.unique(epoch.flatten(1), dim=0)) == 12
    other = noise('a', seed=1)
    assert not torch.equal(other.at(0)['a']['inputs'], inputs[0])


def test_a_data_set_smaller_than_a_batch_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"task 'a': its data set has 12 samples.*batch of 16"):
        noise('a', samples=16)


def test_one_data_set_for_all_tasks_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"it needs a train_dataloader with an entry .*'add'"):
        task_dataloaders(joint_config(tmp_path), ('add', 'norm'), 'it')


@pytest.mark.parametrize(
    ('batch_size', 'instances', 'samples', 'expected'),
    [
        (64, 16, 16, 4),  # the paper's: four identities
        (32, 4, 16, 2),  # eight
        (32, 4, 8, 2),  # four, for eight would have one image each
        (64, 16, 64, 16),
    ],
)
def test_identities_remain_where_two_images_of_each_do(
    batch_size: int, instances: int, samples: int, expected: int
) -> None:
    sampler = dict(type='RandomIdentitySampler', batch_size=batch_size, num_instances=instances)
    config = dict(batch_size=batch_size, num_workers=2, prefetch_factor=4, sampler=sampler)
    smaller = resized(config, samples)
    assert smaller['sampler'] == dict(sampler, batch_size=samples, num_instances=expected)
    assert (smaller['batch_size'], smaller['num_workers'], smaller['drop_last']) == (
        samples, 0, True,
    )  # fmt: skip
    assert 'prefetch_factor' not in smaller
    assert config['sampler'] == sampler


# ---- the hook ----

TASK_PAIR: dict[str, Any] = dict(tasks=('attribute', 'pose'))


@pytest.fixture(scope='module')
def measured(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Work directory of a run with the hook; its parsing head has batch norms."""
    folder = tmp_path_factory.mktemp('measured')
    cfg = tiny_config(data, custom_hooks=[HOOK])
    cfg.model.tasks.parsing.decode_head.norm_cfg = dict(type='BN')
    run(cfg, folder)
    return folder


def test_training_is_bit_for_bit_the_same(data: Path, tmp_path: Path, measured: Path) -> None:
    cfg = tiny_config(data)
    cfg.model.tasks.parsing.decode_head.norm_cfg = dict(type='BN')
    run(cfg, tmp_path)
    bare, ours = load(tmp_path / 'epoch_2.pth'), load(measured / 'epoch_2.pth')
    assert any('running_mean' in name for name in bare['state_dict'])
    assert_same(ours['state_dict'], bare['state_dict'])
    assert_same(ours['optimizer'], bare['optimizer'])
    for name in ('loss', 'loss_kpt'):
        bare_losses, our_losses = (
            [line[f'pose/{name}'] for line in scalars(folder) if f'pose/{name}' in line]
            for folder in (tmp_path, measured)
        )
        assert our_losses == bare_losses


def test_what_the_hook_writes(measured: Path) -> None:
    content = json.loads((measured / 'conflicts.json').read_text())
    assert content['tasks'] == list(ALL)
    assert [m['iteration'] for m in content['measurements']] == [2, 4, 6]
    lines = [line for line in scalars(measured) if 'conflict/layer1.0/attribute-reid' in line]
    assert [line['step'] for line in lines] == [2, 4, 6]
    for line, measurement in zip(lines, content['measurements'], strict=True):
        assert len([name for name in line if name.startswith('conflict/')]) == 4 * 6
        for block in BLOCKS:
            of = measurement['layers'][block]
            assert line[f'conflict/{block}/reid-parsing'] == of['frequency'][1][3]
            assert of['frequency'][1][3] in (0, 1 / 3, 2 / 3, 1)
            assert of['cosine_mean'][2][2] == pytest.approx(1)
    assert (measured / 'conflicts.png').stat().st_size > 1000


def test_a_resumed_run_measures_the_same(data: Path, tmp_path: Path, measured: Path) -> None:
    whole, resumed = tmp_path / 'whole', tmp_path / 'resumed'
    small = dict(TASK_PAIR, custom_hooks=[HOOK])
    run(tiny_config(data, **small), whole)
    run(tiny_config(data, **small, train_cfg__max_epochs=1), resumed)
    run(tiny_config(data, **small), resumed, resume='auto')
    contents = [json.loads((f / 'conflicts.json').read_text()) for f in (whole, resumed)]
    assert contents[0] == contents[1]


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (dict(modules=['layer9']), r"custom_hooks\.ConflictFrequencyHook\.modules: 'layer9'"),
        (dict(repeats=0), r'ConflictFrequencyHook\.repeats must be at least 1'),
        (dict(samples=50), r"task 'attribute': its data set has 12 samples"),
    ],
)
def test_a_wrong_option_is_an_error_before_training(
    data: Path, tmp_path: Path, options: dict, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        run(tiny_config(data, **TASK_PAIR, custom_hooks=[HOOK | options]), tmp_path)
    assert not list(tmp_path.glob('*.pth'))


# ---- the tool ----


def test_the_tool_compares_checkpoints(
    data: Path, tmp_path: Path, measured: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    (config,) = measured.glob('*.py')  # as mmengine left it
    arguments = [
        config, measured / 'epoch_1.pth', measured / 'epoch_2.pth', '--labels', 'early', 'late',
        '--modules', 'layer4.0', 'layer4.0.conv1', '--repeats', 2, '--samples', 4,
        '--masked', '--device', 'cpu',
    ]  # fmt: skip

    def call(out: Path) -> dict:
        monkeypatch.setattr(sys, 'argv', ['tool', *map(str, arguments), '--out', str(out)])
        runpy.run_path(
            str(ROOT / 'tools/analysis_tools/conflict_frequency.py'), run_name='__main__'
        )
        return json.loads((out / 'conflicts.json').read_text())

    first = call(tmp_path / 'a')
    assert list(first['rows']) == ['early', 'early, masked', 'late', 'late, masked']
    assert list(first['rows']['early']) == ['layer4.0', 'layer4.0.conv1']
    assert first['tasks'] == list(ALL)
    assert first['seed'] == 0
    assert (tmp_path / 'a/conflicts.png').stat().st_size > 1000
    assert call(tmp_path / 'b') == first
    words = capsys.readouterr().out
    assert 'reid – parsing' in words
    assert 'conflicts.png' in words
    # With the identity mask, no two tasks train the same filter.
    masked = first['rows']['early, masked']
    np.testing.assert_allclose(masked['layer4.0.conv1']['cosine_mean'], np.eye(4), atol=1e-9)
    assert masked['layer4.0'] != first['rows']['early']['layer4.0']
