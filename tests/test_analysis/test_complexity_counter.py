"""Multiply-accumulates of small networks, counted by hand."""

from typing import Any

import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from torch import Tensor, nn

from mmgradsplit.analysis.complexity import measure_complexity
from mmgradsplit.registry import MODELS


@MODELS.register_module(force=True)
class CountedNet(BaseModel):
    """A network small enough to be counted by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.depthwise = nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False)
        self.norm = nn.GroupNorm(2, 4)
        self.deconv = nn.ConvTranspose2d(4, 5, 4, stride=2, padding=1)
        self.fc = nn.Linear(5, 7)
        self.unused = nn.Linear(11, 1, bias=False)

    def forward(self, inputs: Tensor, data_samples: Any = None, mode: str = 'loss') -> Tensor:
        assert mode == 'tensor' and not self.training
        features = self.deconv(self.norm(self.depthwise(self.conv(inputs))))
        return self.fc(features.mean((2, 3)))


def test_a_network_counted_by_hand():
    cfg = Config(dict(model=dict(type='CountedNet'), work_dir='counted'))
    cost = measure_complexity(cfg, size=(6, 8))
    # A 6 x 8 image, 3 x 4 positions behind the stride; a transposed convolution multiplies each
    # position that it reads by its whole kernel.
    assert cost.macs['conv'] == 12 * (3 * 4 * 9)
    assert cost.macs['depthwise'] == 12 * (4 * 9)
    assert cost.macs['deconv'] == 12 * (4 * 5 * 16)
    assert cost.macs['fc'] == 5 * 7
    assert cost.macs['norm'] == cost.macs['unused'] == 0
    assert cost.macs[''] == 12 * (108 + 36 + 320) + 35
    assert cost.parameters[''] == (108 + 4) + 36 + 8 + (320 + 5) + (35 + 7) + 11
    assert (cost.name, cost.sizes, cost.passes) == ('counted', {'': (6, 8)}, [['']])
    assert 'native_group_norm' in cost.uncounted


@MODELS.register_module(force=True)
class LookingNet(CountedNet):
    """What it does depends on the values that it computes."""

    def forward(self, inputs: Tensor, data_samples: Any = None, mode: str = 'loss') -> Tensor:
        out = super().forward(inputs, data_samples, mode)
        return out if bool((out > -1e9).all()) else self.unused(inputs)


def test_a_network_that_looks_at_values_is_computed():
    def macs(kind: str) -> dict:
        cfg = Config(dict(model=dict(type=kind), work_dir='counted'))
        return measure_complexity(cfg, size=(6, 8)).macs

    assert macs('LookingNet') == macs('CountedNet')


@MODELS.register_module(force=True)
class ProductNet(BaseModel):
    """Products of matrices, in the forward pass itself and in a module that is used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.part = nn.Sequential(nn.Linear(4, 5, bias=False))

    def forward(self, inputs: Tensor, data_samples: Any = None, mode: str = 'loss') -> Tensor:
        rows = inputs[0, 0]  # [6 x 4]
        twice = self.part(rows) @ self.part(rows).T
        return torch.einsum('bij,bjk->bik', twice[None], inputs[0, :1]) + rows.sum()


def test_matrix_products_count_where_they_are_called():
    cfg = Config(dict(model=dict(type='ProductNet'), work_dir='counted'))
    macs = measure_complexity(cfg, size=(6, 4)).macs
    part = 2 * 6 * 4 * 5
    assert macs == {
        '': part + 6 * 5 * 6 + 6 * 6 * 4, 'part': part, 'part.0': part, 'data_preprocessor': 0
    }  # fmt: skip
