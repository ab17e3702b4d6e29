"""Gradient angles against plain autograd and closed forms; the hook leaves no trace."""

import copy
import json
import os
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
from fixtures_training import assert_same, build, load, quick, run, scalars, tiny_config
from mmengine.config import Config
from mmengine.model import BaseModel
from rich.console import Console
from test_models.test_sta_mask_rcnn import batch as images
from test_models.test_sta_mask_rcnn import built, gradients, losses
from torch import Tensor, nn
from toy_joint import SIZE, TASKS, joint_config

from mmgradsplit.analysis import gradient_angles
from mmgradsplit.analysis.angles import (
    AngleMeter,
    Measured,
    build_allocators,
    measure_angles,
)
from mmgradsplit.analysis.task_batches import TaskBatches, joint_dataloader
from mmgradsplit.analysis.task_gradients import angle_matrix, module_parameters, step_gradients
from mmgradsplit.apis import stop_processes, train
from mmgradsplit.models import MultiTaskModel
from mmgradsplit.optim import Weighting, build_weighting
from mmgradsplit.registry import MODELS

HOOK = dict(type='GradientAngleHook', interval=3, repeats=3)
PAIRS = ('add-first', 'add-norm', 'first-norm')


def quiet(config: Any, *arguments: Any, **options: Any) -> dict:
    return gradient_angles(config, *arguments, device='cpu', console=Console(quiet=True), **options)


def weighted(kind: str, **options: Any) -> dict[str, Any]:
    """Options of a config that trains by a weighting."""
    return dict(
        optim_wrapper__type='MultiTaskOptimWrapper',
        optim_wrapper__weighting=dict(type=kind, **options),
    )


def weighting_of(cfg: Config, model: Any) -> Weighting:
    weighting = build_weighting(cfg.optim_wrapper.get('weighting'), list(model.tasks))
    weighting.link(model.backbone)
    return weighting.double()


def angles_of(cfg: Config, model: nn.Module, *names: Any, batches: int = 6) -> Measured:
    """Angles on the batches of a config's training."""
    allocators = build_allocators(names, list(model.tasks), 'allocators')
    stream = TaskBatches(joint_dataloader(cfg, 'test'), None, cfg.randomness.seed)
    annotations = cfg.train_cfg.get('annotations')
    weighting = weighting_of(cfg, model)
    return measure_angles(
        model, weighting, stream, allocators, ['backbone'], range(batches), annotations
    )


def angle(one: np.ndarray, other: np.ndarray) -> float:
    """Kahan's formula, exact for small angles as well."""
    u, v = one / np.linalg.norm(one), other / np.linalg.norm(other)
    return np.degrees(2 * np.arctan2(np.linalg.norm(u - v), np.linalg.norm(u + v)))


# ---- the angles ----


def written_out(weights: dict[str, Tensor], step: dict, scales: dict[str, float]) -> dict:
    """Gradients on the backbone of each task's loss, and of the step's, sample by sample."""
    w = {name: value.clone().requires_grad_() for name, value in weights.items()}
    shared = [w['backbone.conv.weight'], w['backbone.conv.bias']]
    found = {}
    total = torch.zeros((), dtype=torch.float64)
    for t, task in enumerate(TASKS):
        own = []
        for i, (x, sample) in enumerate(zip(step['inputs'], step['data_samples'], strict=True)):
            if step['allocation'][i, t]:
                z = torch.tanh(shared[0].flatten(1) @ x.flatten() + shared[1])
                out = w[f'tasks.{task}.head.weight'][0] @ z + w[f'tasks.{task}.head.bias'][0]
                own.append((out - getattr(sample, f'gt_{task}')) ** 2)
        if own:
            loss = sum(own) / len(own)
            found[task] = torch.autograd.grad(loss, shared, retain_graph=True)
            total = total + scales.get(task, 1) * loss / len(TASKS)
    found['step'] = torch.autograd.grad(total, shared)
    return {k: torch.cat([g.flatten() for g in of]).numpy() for k, of in found.items()}


@pytest.mark.parametrize(
    ('name', 'sub_steps'), [('FullTask', 1), ('STA', 1), ('STA:2', 1), ('ISTA', 3), ('ISTA:2', 2)]
)
def test_angles_are_those_of_plain_autograd_in_the_training(
    name: str, sub_steps: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, _, size = name.partition(':')
    scales = dict(add=2.0, norm=0.5)
    allocator = dict(type=kind, size=int(size)) if size else dict(type=kind)
    cfg = joint_config(
        tmp_path,
        train_cfg__allocator=allocator,
        train_dataloader__sampler__shuffle=True,
        optim_wrapper__optimizer__lr=0.0,  # the training is frozen, too
        **weighted('UniformWeighting', weights=scales),
    )
    steps: list[dict] = []
    plain = MultiTaskModel.train_step

    def train_step(self: MultiTaskModel, data: dict, optim_wrapper: Any) -> dict:
        steps.append(data)
        return plain(self, data, optim_wrapper)

    monkeypatch.setattr(MultiTaskModel, 'train_step', train_step)
    model = run(cfg, tmp_path).model
    found = angles_of(cfg, model, name)[name]['backbone']

    expected = [written_out(model.state_dict(), step, scales) for step in steps]
    assert len(expected) == 6 * sub_steps
    for pair in PAIRS:
        one, other = pair.split('-')
        for value, of in zip(found['tasks'][pair], expected, strict=True):
            if one in of and other in of:
                assert value == pytest.approx(angle(of[one], of[other]), abs=1e-6)
            else:
                assert value is None
    way: dict[str, list] = dict(within=[], across=[])
    for i in range(1, len(expected)):
        way['within' if i % sub_steps else 'across'].append(
            angle(expected[i - 1]['step'], expected[i]['step'])
        )
    for kind, values in way.items():
        np.testing.assert_allclose(found['steps'][kind], values, atol=1e-6)


@MODELS.register_module(force=True)
class LinearTrunk(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(SIZE, 2, 1, bias=False).double()

    def forward(self, x: Tensor) -> tuple[Tensor]:
        return (self.conv(x),)


@MODELS.register_module(force=True)
class LinearTask(BaseModel):
    """The mean of a linear function of the features: its gradient is ``weights ⊗ mean(x)``."""

    def __init__(self, weights: list[float], backbone: dict, data_preprocessor: dict) -> None:
        super().__init__(data_preprocessor=data_preprocessor)
        self.backbone = MODELS.build(backbone)
        self.weights = torch.tensor(weights, dtype=torch.float64)

    def forward(self, inputs: Tensor, data_samples: Any = None, mode: str = 'loss') -> dict:
        return {'loss': (self.backbone(inputs)[0].flatten(1) @ self.weights).mean()}


def linear_config(tmp_path: Path, **heads: list[float]) -> Config:
    cfg = joint_config(tmp_path)
    cfg.model.backbone = dict(type='LinearTrunk')
    cfg.model.tasks = {
        name: dict(type='LinearTask', weights=w, data_preprocessor=dict(type='ToyStack'))
        for name, w in heads.items()
    }
    return cfg


def test_linear_heads_in_closed_form(tmp_path: Path) -> None:
    cfg = linear_config(
        tmp_path, one=[1, 0], same=[2, 0], right=[0, 3], sixty=[1, 3**0.5], against=[-1, 0]
    )
    found = quiet(cfg, out=tmp_path, allocators=['FullTask'], batches=3)['FullTask']['backbone']
    expected = dict(zip(('same', 'right', 'sixty', 'against'), (0, 90, 60, 180), strict=True))
    for other, value in expected.items():
        of = found['tasks'][f'one-{other}']
        np.testing.assert_allclose(of['angles'], [value] * 3, atol=1e-5)
        assert of['mean'] == of['median'] == pytest.approx(value, abs=1e-5)
        assert of['std'] == pytest.approx(0, abs=1e-5)
    assert found['tasks']['one-sixty']['above_90'] == 0
    assert found['tasks']['one-against']['above_90'] == 1


def test_stas_angle_is_that_of_the_samples_too(tmp_path: Path) -> None:
    # On disjoint samples even equal heads differ: by the angle of the mean samples.
    cfg = linear_config(tmp_path, one=[1, 0], same=[2, 0])
    model = build(cfg, tmp_path).model.train()
    seen: list[np.ndarray] = []
    allocator = build_allocators(['STA'], ['one', 'same'], '')['STA']
    plain = type(allocator).__call__

    class Recording(type(allocator)):  # type: ignore[misc]
        def __call__(self, *arguments: Any) -> Any:
            for given in plain(self, *arguments):
                seen.append(given)
                yield given

    meter = AngleMeter(model, weighting_of(cfg, model), Recording(), ['backbone'], seed=3)
    stream = TaskBatches(joint_dataloader(cfg, ''), 12, 3)
    for i in range(4):
        given = stream.at(i)['joint']
        meter.see(given, i)
        x = torch.stack(given['inputs']).flatten(1).numpy()
        expected = angle(x[seen[i][:, 0]].mean(0), x[seen[i][:, 1]].mean(0))
        assert meter.angles['backbone']['tasks']['one-same'][i] == pytest.approx(expected)
    assert 5 < expected < 175


def test_subsets_of_all_tasks_are_full_tasks(tmp_path: Path) -> None:
    cfg = joint_config(tmp_path)
    found = angles_of(cfg, build(cfg, tmp_path).model.train(), 'FullTask', 'STA:3', 'ISTA:3')
    assert found['STA:3'] == found['ISTA:3'] == found['FullTask']
    steps = found['FullTask']['backbone']['steps']
    assert (len(steps['within']), len(steps['across'])) == (0, 5)


# The first is not linear in the task losses; both have a state, and the second a layer's gradient.
@pytest.mark.parametrize('kind', ['torchjd.GeometricMean', 'GradNormWeighting'])
def test_allocators_do_not_see_each_other(tmp_path: Path, kind: str) -> None:
    cfg = joint_config(tmp_path, **weighted(kind))
    model = build(cfg, tmp_path).model.train()
    before = copy.deepcopy(model.state_dict())
    alone = angles_of(cfg, model, 'STA')
    assert angles_of(cfg, model, 'FullTask', 'ISTA', 'STA')['STA'] == alone['STA']
    assert_same(model.state_dict(), before)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_the_steps_gradient_is_that_of_a_backward_pass(tmp_path: Path) -> None:
    cfg = joint_config(tmp_path, **weighted('torchjd.STCH', mu=1.0))
    model = build(cfg, tmp_path).model.train()
    data = TaskBatches(joint_dataloader(cfg, ''), None, 0).at(0)['joint']
    data['allocation'] = np.ones((4, 3), dtype=bool)
    parameters = module_parameters(model.backbone, ['backbone', 'conv'])
    weighting = weighting_of(cfg, model)
    tasks, step = step_gradients(model.compute_losses(data).losses, weighting, TASKS, parameters)
    weighting(model.compute_losses(data).losses).backward()
    expected = torch.cat([p.grad.flatten() for p in model.backbone.parameters()])
    assert list(step) == ['backbone', 'conv']
    for gradient in step.values():
        torch.testing.assert_close(gradient, expected, check_dtype=False)
    assert list(tasks) == list(TASKS)


def test_a_task_without_a_sample_has_no_angle(tmp_path: Path) -> None:
    given = {str(i): ('add',) if i < 4 else TASKS for i in range(12)}
    cfg = joint_config(
        tmp_path,
        train_cfg__annotations={task: f'gt_{task}' for task in TASKS},
        train_dataloader__dataset__given={**given, '4': (), '5': (), '6': (), '7': ()},
    )
    found = angles_of(cfg, build(cfg, tmp_path).model.train(), 'FullTask', batches=4)
    of = found['FullTask']['backbone']
    assert [value is None for value in of['tasks']['add-norm']] == [True, True, False, True]
    # The second batch, without any annotation, has no gradient.
    assert [value is None for value in of['steps']['across']] == [True, True, False]


def test_small_and_zero_gradients() -> None:
    tiny = torch.tensor([1e-30, 0.0])
    matrix = angle_matrix([tiny, torch.tensor([1e-30, 1e-30]), torch.zeros(2)])
    np.testing.assert_allclose(matrix[:2, :2], [[0, 45], [45, 0]], atol=1e-4)
    assert np.isnan(matrix[2]).all() and np.isnan(matrix[:, 2]).all()


def test_a_gradient_that_is_not_finite(tmp_path: Path) -> None:
    cfg = joint_config(tmp_path)
    model = build(cfg, tmp_path).model.train()
    model.tasks['first'].head.weight.data.fill_(torch.inf)
    with pytest.raises(FloatingPointError, match=r"batch 0: the gradient of 'first' on 'backbone'"):
        angles_of(cfg, model, 'FullTask')


def test_mask_rcnns_tasks_are_its_losses() -> None:
    ours, theirs = built('mmgradsplit.STAMaskRCNN'), built('mmdet.MaskRCNN')
    theirs.load_state_dict(ours.state_dict())
    raw = images(1, 2, 3)
    raw['inputs'] = list(raw['inputs'])
    data = ours.data_preprocessor(copy.deepcopy(raw), True)
    chosen = [name for name, p in theirs.backbone.named_parameters() if p.requires_grad]

    def plain(task: str) -> Tensor:
        """The gradient of mmdet's own losses: of the mask loss, or of all the others."""
        found = losses(theirs, data)
        of = gradients(
            theirs, {k: v for k, v in found.items() if ('mask' in k) == (task == 'mask')}
        )
        return torch.cat([of[f'backbone.{name}'].flatten() for name in chosen])

    expected = {task: plain(task) for task in ('det', 'mask')}
    parameters = module_parameters(ours.backbone, ['backbone'])
    torch.manual_seed(1)
    found = ours.compute_losses(dict(raw, allocation=np.ones((3, 2), dtype=bool))).losses
    uniform = build_weighting(None, ours.tasks, ours.loss_weights)
    tasks, step = step_gradients(found, uniform, ours.tasks, parameters)
    expected['step'] = expected['det'] + expected['mask']
    for name, gradient in dict(tasks, step=step).items():
        assert (gradient['backbone'] - expected[name]).norm() < 1e-4 * expected[name].norm()


# ---- the hook ----


def hook_config(folder: Path, **options: Any) -> Config:
    cfg = joint_config(
        folder,
        train_cfg__allocator=dict(type='ISTA'),
        optim_wrapper__optimizer=dict(type='SGD', lr=0.05, momentum=0.9),
        **weighted('torchjd.UW'),
        **options,
    )
    cfg.train_dataloader.sampler.shuffle = True
    return cfg


@pytest.fixture(scope='module')
def watched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Work directory of a run with the hook."""
    folder = tmp_path_factory.mktemp('watched')
    run(hook_config(folder, custom_hooks=[HOOK]), folder)
    return folder


def test_training_is_bit_for_bit_the_same(tmp_path: Path, watched: Path) -> None:
    run(hook_config(tmp_path), tmp_path)
    bare, ours = load(tmp_path / 'epoch_2.pth'), load(watched / 'epoch_2.pth')
    assert 'latest' in bare['optimizer']['weighting']
    assert_same(ours['state_dict'], bare['state_dict'])
    assert_same(ours['optimizer'], bare['optimizer'])
    bare_losses, our_losses = (
        [line['loss'] for line in scalars(folder) if 'loss' in line]
        for folder in (tmp_path, watched)
    )
    assert our_losses == bare_losses


def test_what_the_hook_writes_is_what_the_tool_measures(tmp_path: Path, watched: Path) -> None:
    content = json.loads((watched / 'gradient_angles.json').read_text())
    assert (content['tasks'], content['samples'], content['repeats']) == (list(TASKS), 4, 3)
    assert [m['iteration'] for m in content['measurements']] == [3, 6]
    # The first measurement sees the first batches, as the tool does; and the learned weights.
    found = quiet(hook_config(tmp_path), watched / 'epoch_1.pth', tmp_path, batches=3)
    assert content['measurements'][0]['allocators'] == found
    fresh = load(watched / 'epoch_1.pth')
    del fresh['optimizer']
    torch.save(fresh, tmp_path / 'weights.pth')
    other = quiet(hook_config(tmp_path), tmp_path / 'weights.pth', tmp_path, batches=3)
    assert other['STA']['backbone']['tasks'] == found['STA']['backbone']['tasks']
    assert other['STA']['backbone']['steps'] != found['STA']['backbone']['steps']
    lines = [line for line in scalars(watched) if 'angle/STA/backbone/add-norm' in line]
    assert [line['step'] for line in lines] == [3, 6]
    of = found['ISTA']['backbone']
    assert lines[0]['angle/ISTA/backbone/within'] == of['steps']['within']['mean']
    share = of['tasks']['add-first']['above_90']
    assert lines[0]['angle_above_90/ISTA/backbone/add-first'] == share
    assert 'angle/FullTask/backbone/within' not in lines[0]
    assert (watched / 'gradient_angles.png').stat().st_size > 1000


def test_a_resumed_run_measures_the_same(tmp_path: Path, watched: Path) -> None:
    run(hook_config(tmp_path, custom_hooks=[HOOK], train_cfg__max_epochs=1), tmp_path)
    run(hook_config(tmp_path, custom_hooks=[HOOK]), tmp_path, resume='auto')
    contents = [json.loads((f / 'gradient_angles.json').read_text()) for f in (watched, tmp_path)]
    assert contents[0] == contents[1]


def test_the_state_of_another_weighting_is_an_error(tmp_path: Path, watched: Path) -> None:
    cfg = hook_config(tmp_path)
    cfg.optim_wrapper.weighting = dict(type='GradNormWeighting')
    with pytest.raises(ValueError, match=r'another optim_wrapper\.weighting than GradNorm'):
        quiet(cfg, watched / 'epoch_1.pth', tmp_path, batches=1)


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (dict(repeats=0), r'custom_hooks\.GradientAngleHook\.repeats must be at least 1'),
        (dict(samples=0), r'GradientAngleHook\.samples must be at least 1'),
        (dict(samples=13), r'its data set has 12 samples, fewer than a batch of 13'),
        (dict(modules=['layer9']), r"GradientAngleHook\.modules: 'layer9' matches no module"),
        (dict(allocators=['STAR']), r"allocators: there is no allocator 'STAR'.*'FullTask'"),
        (dict(allocators=['STA', 'STA']), r"allocators: 'STA' is given twice"),
        (dict(allocators=['STA:4']), r"allocators, 'STA:4': .*size must be from 1 .* 3, got 4"),
        (dict(allocators=['STA:x']), r"'STA:x' must be an allocator"),
        (dict(allocators=['FullTask:2']), r"allocators, 'FullTask:2'"),
        (dict(allocators=[]), r'allocators is empty'),
    ],
)
def test_a_wrong_option_is_an_error_before_training(
    tmp_path: Path, options: dict, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        run(hook_config(tmp_path, custom_hooks=[HOOK | options]), tmp_path)
    assert not list(tmp_path.glob('*.pth'))


def test_round_robin_has_no_allocations(tmp_path: Path) -> None:
    words = r"compares allocations.*here train_cfg\.type is 'RoundRobinTrainLoop'"
    cfg = tiny_config(tmp_path)
    with pytest.raises(ValueError, match=words):
        quiet(cfg, out=tmp_path)
    with pytest.raises(ValueError, match=r'custom_hooks.GradientAngleHook ' + words):
        joint_dataloader(cfg, 'custom_hooks.GradientAngleHook')


def train_rank(rank: int, folder: Path, port: int) -> None:
    os.environ.update(
        RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE='2', MASTER_ADDR='127.0.0.1',
        MASTER_PORT=str(port), CUDA_VISIBLE_DEVICES='',
    )  # fmt: skip
    torch.set_num_threads(1)  # those of the parent do not survive a fork
    cfg = hook_config(folder, custom_hooks=[HOOK | dict(interval=2, repeats=2, samples=2)])
    # Half of the samples have no annotation, so a process may have nothing to measure.
    cfg.train_dataloader.dataset.given = {str(i): () for i in range(0, 12, 2)}
    cfg.train_cfg.annotations = {task: f'gt_{task}' for task in TASKS}
    cfg.train_dataloader.sampler.shuffle = False
    cfg.train_dataloader.batch_size = 2
    cfg.train_cfg.max_epochs = 1
    cfg.experiment_name = 'two'
    cfg.optim_wrapper = dict(optimizer=cfg.optim_wrapper.optimizer)  # mmengine's own
    with quick():
        runner = train(cfg, work_dir=folder, launcher='pytorch')
    del runner
    stop_processes()


def test_every_process_measures_its_own_samples(tmp_path: Path) -> None:
    with socket.socket() as place:
        place.bind(('127.0.0.1', 0))
        port = place.getsockname()[1]
    # Forked, which spares them the imports.
    mp.start_processes(train_rank, (tmp_path, port), nprocs=2, start_method='fork')
    (measurement,) = json.loads((tmp_path / 'gradient_angles.json').read_text())['measurements']
    of = measurement['allocators']['FullTask']['backbone']['tasks']['add-norm']
    # Two batches of each process; the first has the even samples.
    assert [angle is None for angle in of['angles']] == [True, True, False, False]
