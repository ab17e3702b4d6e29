"""Two processes whose heads exchange statistics, where one has no sample for a task."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.utils.checkpoint as cp
from fixtures_ranks import on_two_ranks
from fixtures_training import load, run
from mmdet.utils import reduce_mean
from mmengine.config import Config
from mmengine.model import BaseModel
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce
from torch.nn.parallel import DistributedDataParallel
from toy_joint import SIZE, TASKS, joint_config

from mmgradsplit.registry import MODELS


@MODELS.register_module(force=True)
class ToySyncNorm(nn.SyncBatchNorm):
    """torch's synchronised norm refuses CPUs; in one process mmengine makes it a BatchNorm2d."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        count = x.new_tensor([len(x) * x[0, 0].numel() if len(x) else 0])
        sums = torch.cat([x.sum((0, 2, 3)), x.square().sum((0, 2, 3)), count])
        total, squares, number = all_reduce(sums).split([x.shape[1], x.shape[1], 1])
        mean = total / number
        var = squares / number - mean.square()
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(var * number / (number - 1).clamp(1), self.momentum)
        shape = (1, -1, 1, 1)
        normal = (x - mean.view(shape)) / (var + self.eps).sqrt().view(shape)
        return normal * self.weight.view(shape) + self.bias.view(shape)


@MODELS.register_module(force=True)
class ToyNormedTrunk(nn.Module):
    """A shared backbone of a layer with a norm."""

    def __init__(self, norm: str = 'ToySyncNorm', with_cp: bool = False) -> None:
        super().__init__()
        self.with_cp = with_cp
        self.conv = nn.Conv2d(SIZE, 6, 1)
        self.norm = nn.Sequential(MODELS.get(norm)(6) if norm else nn.Identity())
        self.double()

    def forward(self, x: Tensor) -> tuple[Tensor]:
        def inner(x: Tensor) -> Tensor:
            return torch.tanh(self.norm(self.conv(x)))

        return (cp.checkpoint(inner, x) if self.with_cp else inner(x),)


@MODELS.register_module(force=True)
class ToyNormedTask(BaseModel):
    """Regression with two branches, whose norms are called in another order than they are named."""

    def __init__(self, field: str, backbone: dict, data_preprocessor: Any = None) -> None:
        super().__init__(data_preprocessor=data_preprocessor)
        self.backbone = MODELS.build(backbone)
        self.norms = nn.ModuleList(ToySyncNorm(6) for _ in range(3))
        self.convs = nn.ModuleList(nn.Conv2d(6, 6, 1) for _ in range(2))
        self.head = nn.Linear(6, 1)
        self.field = field
        self.double()

    def forward(self, inputs: Tensor, data_samples: Any = None, mode: str = 'tensor') -> Any:
        (x,) = self.backbone(inputs)
        x = torch.tanh(self.norms[2](x))
        first, second = (conv(x) for conv in self.convs)
        branches = self.norms[1](second) * self.norms[0](first)
        out = self.head(branches.flatten(1))[:, 0]
        target = torch.stack([getattr(sample, self.field) for sample in data_samples])
        return {'loss_square': (out - target).square().mean()}


@MODELS.register_module(force=True)
class ToyCountingTask(ToyNormedTask):
    """Divides by the number of samples of all ranks, as detectors do by that of objects."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        losses = super().forward(*args, **kwargs)
        return {key: loss / reduce_mean(loss.new_ones(1)) for key, loss in losses.items()}


@pytest.fixture(autouse=True)
def on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """DistributedDataParallel refuses torch's norms there, whatever is made of them."""
    name = '_passing_sync_batchnorm_handle'
    monkeypatch.setattr(DistributedDataParallel, name, lambda *_: None)


WRAPPERS: dict[str, dict[str, Any]] = {
    'plain': dict(type='OptimWrapper'),
    'uncertainty': dict(type='MultiTaskOptimWrapper', weighting=dict(type='torchjd.UW')),
    'UPGrad': dict(type='AggregatorOptimWrapper', aggregator=dict(type='torchjd.UPGrad')),
    'UPGrad on features': dict(
        type='AggregatorOptimWrapper', aggregator=dict(type='torchjd.UPGrad'), on='features'
    ),
    'with_cp': dict(type='OptimWrapper'),
    'GradSplit': dict(type='GradSplitOptimWrapper', relations='none', modules=['conv']),
}


def config(folder: Path, name: str, batch_size: int, **options: Any) -> Config:
    """In the first batch each rank has no sample for a task; in the second, rank 1 has none."""
    cfg = joint_config(folder, batch_size=batch_size, **options)
    cfg.model.backbone.update(type='ToyNormedTrunk', with_cp=name == 'with_cp')
    for task in TASKS:
        cfg.model.tasks[task].type = 'ToyNormedTask'
    cfg.optim_wrapper.update(WRAPPERS[name])
    cfg.train_cfg.annotations = {task: f'gt_{task}' for task in TASKS}
    cfg.train_dataloader.dataset.given = {
        str(i): (('add', 'norm') if i % 2 == 0 else ('first', 'norm') if i < 6 else ())
        for i in range(12)
    }
    return cfg


def weights(runner: Any) -> dict[str, Tensor]:
    return getattr(runner.model, 'module', runner.model).state_dict()


def train_ranks(rank: int, folder: Path) -> None:
    for name in WRAPPERS:
        runner = run(config(folder, name, 3), folder / name, launcher='pytorch')
        torch.save(weights(runner), folder / f'{name}.{rank}')


def test_the_result_is_that_of_one_process_on_the_joined_batch(tmp_path: Path) -> None:
    on_two_ranks(train_ranks, tmp_path / 'two', timeout=60)
    for name in WRAPPERS:
        runner = run(config(tmp_path, name, 6), tmp_path / 'one' / name)
        one, buffers = weights(runner), dict(runner.model.named_buffers())
        for rank in range(2):
            two = load(tmp_path / 'two' / f'{name}.{rank}')
            assert list(two) == list(one)
            for key, value in one.items():
                if name == 'with_cp' and key.startswith('backbone.norm.0.') and key in buffers:
                    continue  # ToySyncNorm updates them by code of its own
                label = f'{name}, rank {rank}: {key}'
                torch.testing.assert_close(two[key], value, rtol=1e-7, atol=1e-9, msg=label)


def train_by_sta(rank: int, folder: Path) -> None:
    options = dict(train_cfg__allocator=dict(type='STA'), optim_wrapper__optimizer__lr=0.01)
    cfg = config(folder, 'plain', 1, **options)
    cfg.train_dataloader.dataset.given = {}
    cfg.model.backbone.norm = ''  # of a single sample it makes nothing
    torch.save(weights(run(cfg, folder, launcher='pytorch')), folder / f'{rank}.pt')


def refuse(rank: int, folder: Path) -> None:
    cfg = config(folder, 'plain', 3)
    cfg.model.tasks.norm.type = 'ToyCountingTask'
    with pytest.raises(ValueError, match=r"loss of task 'norm' exchanges tensors \(allreduce\).*"):
        run(cfg, folder, launcher='pytorch')
    dist.barrier()
    # Where each rank has samples for all tasks, nothing is in the way.
    cfg.train_cfg.annotations = None
    cfg.train_dataloader.dataset.given = {}
    run(cfg, folder, launcher='pytorch')


@pytest.mark.parametrize('function', [train_by_sta, refuse])
def test_ranks_stay_in_step_or_say_why_not(function: Any, tmp_path: Path) -> None:
    on_two_ranks(function, tmp_path, timeout=60)
    if function is train_by_sta:
        first, second = (load(tmp_path / f'{rank}.pt') for rank in range(2))
        assert all(torch.equal(first[key], value) for key, value in second.items())
