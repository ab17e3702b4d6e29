"""Joint training that takes milliseconds: scalar tasks on vectors, in float64."""

from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.model import BaseDataPreprocessor, BaseModel
from mmengine.structures import BaseDataElement
from torch import Tensor, nn
from torch.utils.data import Dataset

from mmgradsplit.registry import DATASETS, MODELS

TASKS = ('add', 'first', 'norm')
SIZE = 4


@MODELS.register_module(force=True)
class ToyStack(BaseDataPreprocessor):
    """One tensor of the inputs."""

    def forward(self, data: dict, training: bool = False) -> dict:
        return dict(data, inputs=torch.stack(data['inputs']))


@MODELS.register_module(force=True)
class ToyTrunk(nn.Module):
    """A shared backbone of one layer; ``calls``: samples of each pass in training."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(SIZE, 6, 1).double()
        self.calls: list[int] = []

    def forward(self, x: Tensor) -> tuple[Tensor]:
        if self.training:
            self.calls.append(len(x))
        return (torch.tanh(self.conv(x)),)


@MODELS.register_module(force=True)
class ToyTask(BaseModel):
    """Regression of one annotation; ``seen``: samples of each loss in training."""

    def __init__(self, field: str, backbone: dict, data_preprocessor: Any = None) -> None:
        super().__init__(data_preprocessor=data_preprocessor)
        self.backbone = MODELS.build(backbone)
        self.head = nn.Linear(6, 1).double()
        self.field = field
        self.seen: list[int] = []

    def forward(self, inputs: Tensor, data_samples: Any = None, mode: str = 'tensor') -> Any:
        out = self.head(self.backbone(inputs)[0].flatten(1))[:, 0]
        if mode != 'loss':
            return out
        if self.training:
            self.seen.append(len(out))
        target = torch.stack([getattr(sample, self.field) for sample in data_samples])
        return {'loss_square': (out - target).square().mean()}


@DATASETS.register_module(force=True)
class ToyScenes(Dataset):
    """Vectors with an annotation for each task.

    Args:
        number: Number of samples.
        given: Tasks that sample i is annotated for, by i; others have all.
    """

    def __init__(self, number: int = 12, given: dict[int, tuple[str, ...]] | None = None) -> None:
        self.number = number
        self.given = {int(key): value for key, value in (given or {}).items()}

    def __len__(self) -> int:
        return self.number

    def __getitem__(self, index: int) -> dict[str, Any]:
        generator = torch.Generator().manual_seed(index)
        x = torch.randn(SIZE, 1, 1, generator=generator, dtype=torch.float64)
        values = dict(add=x.sum(), first=x[0, 0, 0], norm=x.square().sum())
        sample = BaseDataElement()
        for task in self.given.get(index, TASKS):
            setattr(sample, f'gt_{task}', values[task])
        return dict(inputs=x, data_samples=sample)


def joint_config(
    work_dir: Path, tasks: tuple[str, ...] = TASKS, batch_size: int = 4, **options: Any
) -> Config:
    """A run of joint training on :class:`ToyScenes`, by plain SGD.

    Args:
        work_dir: Of the run.
        tasks: Names of the tasks.
        batch_size: Samples of a batch.
        **options: Values for keys of the config, with ``__`` for a dot.
    """
    cfg = Config(
        dict(
            default_scope='mmgradsplit',
            model=dict(
                type='MultiTaskModel',
                backbone=dict(type='ToyTrunk'),
                tasks={
                    task: dict(
                        type='ToyTask',
                        field=f'gt_{task}',
                        data_preprocessor=dict(type='ToyStack'),
                    )
                    for task in tasks
                },
            ),
            train_dataloader=dict(
                batch_size=batch_size,
                num_workers=0,
                collate_fn=dict(type='pseudo_collate'),
                dataset=dict(type='ToyScenes'),
                sampler=dict(type='DefaultSampler', shuffle=False),
            ),
            train_cfg=dict(type='JointTrainLoop', max_epochs=2),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.05)),
            default_hooks=dict(
                logger=dict(type='LoggerHook', interval=1),
                checkpoint=dict(type='AtomicCheckpointHook', interval=1),
            ),
            find_unused_parameters=True,
            randomness=dict(seed=0),
            log_level='WARNING',
            work_dir=str(work_dir),
        )
    )
    cfg.merge_from_dict({key.replace('__', '.'): value for key, value in options.items()})
    return cfg
