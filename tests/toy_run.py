"""A model, a data set and a metric that train in milliseconds, for configs written by tests."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from torch import Tensor, nn
from torch.utils.data import Dataset

from mmgradsplit.registry import DATASETS, METRICS, MODELS

CONFIG = """
custom_imports = dict(imports=['toy_run'])
default_scope = 'mmgradsplit'
model = dict(type='ToyModel')
loader = dict(
    batch_size={batch_size},
    num_workers=0,
    collate_fn=dict(type='default_collate'),
    dataset=dict(type='ToyData'),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
train_dataloader = val_dataloader = test_dataloader = loader
val_evaluator = test_evaluator = dict(type='ToyError')
train_cfg = dict(by_epoch=True, max_epochs={epochs})
val_cfg = dict()
test_cfg = dict()
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9))
default_hooks = dict(checkpoint=dict(type='CheckpointHook', interval=1))
randomness = dict(seed=0)
log_level = 'WARNING'
"""


@MODELS.register_module(force=True)
class ToyModel(BaseModel):
    """Linear regression; ``dtypes`` lists the types of its outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 1)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)
        self.dtypes: list[torch.dtype] = []

    def forward(self, x: Tensor, y: Tensor, mode: str = 'tensor') -> Any:
        out = self.linear(x)
        self.dtypes.append(out.dtype)
        if mode == 'loss':
            return {'loss': (out.float() - y).square().mean()}
        return list((out - y).abs())


@DATASETS.register_module(force=True)
class ToyData(Dataset):
    """Eight points of a linear function."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        x = torch.randn(3, generator=torch.Generator().manual_seed(index))
        return {'x': x, 'y': x.sum(dim=0, keepdim=True)}


@METRICS.register_module(force=True)
class ToyError(BaseMetric):
    """Mean absolute error."""

    def process(self, data_batch: Any, data_samples: Sequence[Tensor]) -> None:
        self.results.extend(float(sample) for sample in data_samples)

    def compute_metrics(self, results: list[float]) -> dict[str, float]:
        return {'error': sum(results) / len(results)}


def write_config(folder: Path, epochs: int = 2, batch_size: int = 2, name: str = 'toy') -> Path:
    """Write the config of a toy run."""
    path = folder / f'{name}.py'
    path.write_text(CONFIG.format(epochs=epochs, batch_size=batch_size))
    return path
