"""Options for a GPU, as far as a CPU has them: they leave alone what has to stay as it is."""

from pathlib import Path
from typing import Any

import pytest
import torch
from fixtures_gpu import watch_groups
from fixtures_training import assert_same, build, load, run, scalars, tiny_config, write_data
from mmengine.config import Config
from torch import Tensor

from mmgradsplit.apis.preparation import use_mixed_precision

pytestmark = pytest.mark.gpu(alone=False)
TASKS = ('attribute', 'pose')
COMPILED = dict(
    backend='aot_eager'
)  # traces and differentiates as the others do, without a compiler
OPTIONS: dict[str, dict[str, Any]] = {
    'plain': {},
    'channels last': dict(model__channels_last=True),
    'fused': dict(optim_wrapper__optimizer__fused=True),
    'checkpointed': dict(model__backbone__with_cp=True),
    'all': dict(
        model__channels_last=True,
        model__compile_backbone=COMPILED,
        optim_wrapper__optimizer__fused=True,
        amp=True,
    ),
}


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp('data'))


def config(data: Path, name: str) -> Config:
    options = dict(OPTIONS[name])
    amp = options.pop('amp', False)
    cfg = tiny_config(data, TASKS, **options)
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    cfg.param_scheduler = []
    if torch.cuda.is_available():
        cfg.randomness.deterministic = True
    if amp:
        use_mixed_precision(cfg)
    return cfg


def losses(work_dir: Path) -> list[float]:
    return [value for line in scalars(work_dir) for key, value in line.items() if 'loss' in key]


@pytest.mark.parametrize('name', ['plain', 'channels last', 'fused', 'checkpointed', 'all'])
def test_a_step_leaves_what_it_may_not_move_bit_for_bit(
    data: Path, tmp_path: Path, name: str
) -> None:
    runner = build(config(data, name), tmp_path)
    moved = watch_groups(runner, TASKS)
    counters = torch._dynamo.utils.counters
    counters.clear()
    runner.train()
    if name == 'all':
        # Both tasks have images of the same size, but hold other filters.
        assert counters['stats']['unique_graphs'] == len(TASKS)
        assert not counters['graph_break']
    for trained, kept, convolutions in moved.values():
        assert trained == 6 * convolutions and kept == 0


def test_options_train_alike(data: Path, tmp_path: Path) -> None:
    found = {}
    for name in ('plain', 'channels last', 'fused', 'checkpointed'):
        run(config(data, name), tmp_path / name)
        found[name] = losses(tmp_path / name)
    assert len(found['plain']) > 10
    for name, values in found.items():
        assert values == pytest.approx(found['plain'], rel=1e-4), name


def test_channels_last_is_used_and_checkpoints_are_plain(data: Path, tmp_path: Path) -> None:
    cfg = config(data, 'channels last')
    runner = build(cfg, tmp_path / 'last')
    seen: list[Tensor] = []
    runner.model.backbone.layer4.register_forward_hook(
        lambda _, args, out: seen.extend([*args, out])
    )
    runner.train()
    last = torch.channels_last
    assert seen and all(each.is_contiguous(memory_format=last) for each in seen)
    kernel = runner.model.backbone.layer4[0].conv2.weight
    assert kernel.is_contiguous(memory_format=last) and not kernel.is_contiguous()
    saved = load(tmp_path / 'last/epoch_2.pth')['state_dict']
    assert all(value.is_contiguous() for value in saved.values())
    assert_same(saved, {k: v.contiguous() for k, v in runner.model.state_dict().items()})


@pytest.mark.parametrize('name', ['channels last', 'fused'])
def test_a_resumed_run_is_the_uninterrupted_one(data: Path, tmp_path: Path, name: str) -> None:
    run(config(data, name), tmp_path / 'whole')
    half = config(data, name)
    half.train_cfg.max_epochs = 1
    run(half, tmp_path / 'parts')
    run(config(data, name), tmp_path / 'parts', resume='auto')
    whole, parts = (load(tmp_path / each / 'epoch_2.pth') for each in ('whole', 'parts'))
    assert_same(whole['state_dict'], parts['state_dict'])
