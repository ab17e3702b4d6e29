"""The BiFPN against EfficientDet's equations, and the heads of inverted residual blocks."""

import math

import pytest
import torch
from mmengine.registry import init_default_scope
from torch import Tensor
from torch.nn import functional

from mmgradsplit.models import BiFPN, InvertedResidualDecodeHead
from mmgradsplit.models.necks.bi_fpn import BiFPNStage, FastNormalizedFusion
from mmgradsplit.registry import MODELS

BN = dict(type='BN')
SIZES = [(13, 10), (7, 5), (4, 3)]  # each half of the one before, rounded up


def test_fusion_is_the_mean_by_weights_that_are_not_negative() -> None:
    fusion = FastNormalizedFusion(3).double()
    fusion.weight.data.copy_(torch.tensor([2.0, -5.0, 0.5]))
    maps = [torch.full((2, 1, 2, 3), value, dtype=torch.float64) for value in (1.0, 100.0, 3.0)]
    assert torch.allclose(
        fusion(maps), torch.tensor((2 * 1 + 0.5 * 3) / (1e-4 + 2.5), dtype=torch.float64), 1e-14
    )


def enlarged(small: Tensor, size: tuple[int, int]) -> Tensor:
    """The nearest value, pixel by pixel."""
    large = small.new_empty(*small.shape[:2], *size)
    for y in range(size[0]):
        for x in range(size[1]):
            large[..., y, x] = small[
                ..., y * small.shape[2] // size[0], x * small.shape[3] // size[1]
            ]
    return large


def reduced(large: Tensor) -> Tensor:
    """The largest of 3 x 3 pixels around every second one."""
    height, width = large.shape[2:]
    small = large.new_empty(*large.shape[:2], math.ceil(height / 2), math.ceil(width / 2))
    for y in range(small.shape[2]):
        for x in range(small.shape[3]):
            around = large[..., max(2 * y - 1, 0) : 2 * y + 2, max(2 * x - 1, 0) : 2 * x + 2]
            small[..., y, x] = around.amax((2, 3))
    return small


def test_a_stage_follows_the_equations() -> None:
    """EfficientDet, section 3.3, on levels 3 to 5; what each convolution does is given."""
    stage = BiFPNStage(2, 3, BN, dict(type='SiLU')).double().eval()
    for parameter in stage.parameters():
        parameter.data.normal_()
    p3, p4, p5 = (torch.randn(2, 2, *size, dtype=torch.float64) for size in SIZES)

    def node(which: torch.nn.Module, *maps: Tensor) -> Tensor:
        weights = [max(w, 0.0) for w in which.fusion.weight.tolist()]
        assert len(weights) == len(maps)
        total = 1e-4 + sum(weights)
        return which.conv(sum(w / total * m for w, m in zip(weights, maps, strict=True)))

    with torch.no_grad():
        middle = node(stage.top_down[1], p4, enlarged(p5, SIZES[1]))
        out3 = node(stage.top_down[0], p3, enlarged(middle, SIZES[0]))
        out4 = node(stage.bottom_up[0], p4, middle, reduced(out3))
        out5 = node(stage.bottom_up[1], p5, reduced(out4))
        found = stage([p3, p4, p5])
    assert len(found) == 3
    for ours, theirs in zip(found, (out3, out4, out5), strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize('num_outs', [2, 3, 5])
def test_levels_of_odd_sizes_and_every_parameter_matters(num_outs: int) -> None:
    neck = BiFPN(in_channels=[3, 5], channels=8, num_stages=2, num_outs=num_outs)
    inputs = (torch.randn(2, 3, 37, 50), torch.randn(2, 5, 19, 25))
    levels = neck(inputs)
    sizes = [(37, 50), (19, 25), (10, 13), (5, 7), (3, 4)]
    assert [tuple(level.shape) for level in levels] == [(2, 8, *size) for size in sizes[:num_outs]]
    sum((level * torch.randn_like(level)).sum() for level in levels).backward()
    still = [name for name, p in neck.named_parameters() if p.grad is None or not p.grad.any()]
    assert not still


def test_a_bi_fpn_that_does_not_fit() -> None:
    with pytest.raises(ValueError, match=r'num_outs of a BiFPN must be at least 3 for 3 inputs'):
        BiFPN(in_channels=[4, 4, 4], num_outs=2)
    neck = BiFPN(in_channels=[4, 4], channels=8, num_outs=3)
    maps = [torch.rand(1, 4, size, size) for size in (8, 4, 2)]
    for wrong in (maps, maps[:1], [maps[0], maps[2]], maps[1::-1]):
        with pytest.raises(ValueError, match=r'BiFPN of 2 inputs, each half .*; see out_indices'):
            neck(wrong)


def anchor_head() -> torch.nn.Module:
    init_default_scope('mmdet')
    head = MODELS.build(
        dict(
            type='mmgradsplit.InvertedResidualAnchorHead',
            num_classes=20,
            in_channels=64,
            anchor_generator=dict(
                type='AnchorGenerator',
                octave_base_scale=4,
                scales_per_octave=3,
                ratios=[0.5, 1.0, 2.0],
                strides=[16, 32, 64],
                center_offset=0.5,
            ),
            loss_cls=dict(type='FocalLoss', use_sigmoid=True),
        )
    )
    head.init_weights()
    return head


def test_boxes_and_scores_of_every_anchor() -> None:
    head = anchor_head()
    levels = [torch.randn(2, 64, *size) for size in SIZES]
    with torch.no_grad():
        scores, boxes = head(levels)
    anchors = head.prior_generator.grid_priors(SIZES, device='cpu')
    for size, score, box, anchor, stride in zip(
        SIZES, scores, boxes, anchors, (16, 32, 64), strict=True
    ):
        assert score.shape == (2, 9 * 20, *size)
        assert box.shape == (2, 9 * 4, *size)
        assert len(anchor) == 9 * math.prod(size)
        # At the second place of the first row: three sizes, an octave in thirds, of three shapes.
        place = anchor[9:18]
        middles = (place[:, :2] + place[:, 2:]) / 2
        assert torch.allclose(middles, torch.tensor([1.5 * stride, 0.5 * stride]))
        sides = (place[:, 2:] - place[:, :2]).prod(1).sqrt().sort().values
        wanted = [4 * stride * 2 ** (k / 3) for k in (0, 0, 0, 1, 1, 1, 2, 2, 2)]
        assert sides.tolist() == pytest.approx(wanted, rel=1e-5)
        assert score.sigmoid().mean() == pytest.approx(0.01, rel=0.1)  # objects are rare


def test_levels_share_blocks_but_no_statistics() -> None:
    """A level's outputs are those that it has alone, in training as well."""
    head = anchor_head().train()
    levels = [torch.randn(2, 64, *size) + 10 * i for i, size in enumerate(SIZES)]
    together, alone = head(levels), head(levels[1:2])
    for of_all, of_one in zip(together, alone, strict=True):
        assert torch.equal(of_all[1], of_one[0])
    head.eval()
    assert torch.equal(head(levels)[0][2], together[0][2])


def test_a_decode_head_reads_all_levels_at_the_largest_size() -> None:
    head = InvertedResidualDecodeHead(
        in_channels=[64, 64, 64],
        in_index=[0, 1, 2],
        input_transform='resize_concat',
        channels=64,
        num_classes=40,
        dropout_ratio=0.0,
        norm_cfg=BN,
    ).eval()
    # MobileNetV2's block: 1 x 1 to six times the channels, 3 x 3 of each, 1 x 1; a norm after each.
    blocks = [c * 6 * c + 9 * 6 * c + 6 * c * 64 + 2 * (6 * c + 6 * c + 64) for c in (192, 64)]
    assert sum(p.numel() for p in head.parameters()) == sum(blocks) + 64 * 40 + 40
    levels = [torch.randn(2, 64, *size) for size in SIZES]
    with torch.no_grad():
        logits = head(levels)
        assert logits.shape == (2, 40, *SIZES[0])
        for i, level in enumerate(levels):
            others = list(levels)
            others[i] = level + 1
            assert not torch.equal(head(others), logits)
        larger = [
            functional.interpolate(level, SIZES[0], mode='bilinear', align_corners=False)
            for level in levels
        ]
        assert torch.allclose(head(larger), logits, atol=1e-5)
