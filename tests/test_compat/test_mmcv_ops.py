"""The stand-in for mmcv's ops against compiled ones, torchvision, and equations written out."""

import pickle
import sys
from collections.abc import Callable
from functools import partial
from itertools import product

import mmcv.ops
import numpy as np
import pytest
import torch
import torchvision
from mmcv.ops.multi_scale_deform_attn import MultiScaleDeformableAttnFunction
from torch import Tensor
from torch.autograd import gradcheck
from torch.nn import functional

from mmgradsplit.compat import mmcv_ops

COMPILED = sys.modules['mmcv._ext'] is not mmcv_ops
ROIS = [[0, 1.2, 0.7, 9.3, 8.1], [1, 0, 0, 15.9, 11.9], [1, 3.5, 2.5, 6.25, 11], [0, 9, 4, 30, 20]]


def boxes_and_scores(number: int = 60) -> tuple[Tensor, Tensor]:
    start = torch.rand(number, 2) * 40
    return torch.cat([start, start + 5 + torch.rand(number, 2) * 30], 1), torch.rand(number)


def with_gradients(function: Callable, *inputs: Tensor) -> list[Tensor]:
    """The output, and the gradients of all inputs for a fixed, random gradient of the output."""
    inputs = tuple(tensor.detach().requires_grad_() for tensor in inputs)
    output = function(*inputs)
    noise = torch.randn(output.shape, generator=torch.Generator().manual_seed(1))
    return [output, *torch.autograd.grad(output, inputs, noise.to(output))]


def deformable(modulated: bool, **keywords: int) -> tuple[Callable, list[Tensor]]:
    """Function and tensors of a deformable convolution of 3 x 3 in groups, stride 2."""
    groups, parts = keywords.get('groups', 1), keywords.get('deform_groups', 1)
    sizes = (2, keywords.get('padding', 1), keywords.get('dilation', 1), groups, parts)
    features = torch.randn(2, 4, 9, 8)
    height = (9 + 2 * sizes[1] - 2 * sizes[2] - 1) // 2 + 1
    width = (8 + 2 * sizes[1] - 2 * sizes[2] - 1) // 2 + 1
    offset = torch.randn(2, parts * 18, height, width) * 2
    weight = torch.randn(6, 4 // groups, 3, 3)
    if not modulated:
        function = mmcv.ops.deform_conv2d
        return (lambda x, o, w: function(x, o, w, *sizes)), [features, offset, weight]
    mask, bias = torch.rand(2, parts * 9, height, width), torch.randn(6)
    function = mmcv.ops.modulated_deform_conv2d
    tensors = [features, offset, mask, weight, bias]
    return (lambda *inputs: function(*inputs, *sizes)), tensors


def attention() -> tuple[Callable, list[Tensor]]:
    """Function and tensors of attention to two levels, 2 heads of 3 channels, 5 queries."""
    shapes = torch.tensor([[4, 5], [2, 3]])
    starts = torch.tensor([0, 20])
    values, locations = torch.randn(2, 26, 2, 3), torch.rand(2, 5, 2, 2, 4, 2) * 1.2 - 0.1
    weights = torch.rand(2, 5, 2, 2, 4)

    def function(value: Tensor, location: Tensor, weight: Tensor) -> Tensor:
        levels = (shapes.to(value.device), starts.to(value.device))
        return MultiScaleDeformableAttnFunction.apply(value, *levels, location, weight, 64)

    return function, [values, locations, weights]


# What is compared on CPU and GPU, by name: from a device to results. ------------------------------


def nms(device: str, offset: int) -> list[Tensor]:
    boxes, scores = (tensor.to(device) for tensor in boxes_and_scores())
    return list(mmcv.ops.nms(boxes, scores, 0.4, offset, 0.1, 20))


def batched_nms(device: str) -> list[Tensor]:
    boxes, scores = (tensor.to(device) for tensor in boxes_and_scores())
    config = dict(type='nms', iou_threshold=0.5)
    return list(mmcv.ops.batched_nms(boxes, scores, torch.arange(60, device=device) % 3, config))


def soft_nms(device: str, method: str) -> list[Tensor]:
    boxes, scores = (tensor.to(device) for tensor in boxes_and_scores())
    return list(mmcv.ops.soft_nms(boxes, scores, 0.3, 0.5, 0.05, method, 1))


def nms_match(device: str) -> list[Tensor]:
    boxes, scores = boxes_and_scores()
    return mmcv.ops.nms_match(torch.cat([boxes, scores[:, None]], 1).to(device), 0.4)


def roi_align(device: str, aligned: bool, samples: int) -> list[Tensor]:
    rois = torch.tensor(ROIS, device=device)
    layer = mmcv.ops.RoIAlign((3, 2), 0.7, samples, aligned=aligned)
    return with_gradients(lambda x: layer(x, rois), torch.randn(2, 3, 12, 16).to(device))


def deformable_conv(device: str, modulated: bool, **keywords: int) -> list[Tensor]:
    function, tensors = deformable(modulated, **keywords)
    return with_gradients(function, *(tensor.to(device) for tensor in tensors))


ON_CPU: dict[str, Callable[[str], list[Tensor]]] = {
    'nms': partial(nms, offset=0),
    'nms, offset 1': partial(nms, offset=1),
    'batched_nms': batched_nms,
    **{
        f'soft_nms, {name}': partial(soft_nms, method=name)
        for name in ('naive', 'linear', 'gaussian')
    },
    'nms_match': nms_match,
    'roi_align': partial(roi_align, aligned=True, samples=0),
    'roi_align, 2 samples': partial(roi_align, aligned=True, samples=2),
    'roi_align, not aligned': partial(roi_align, aligned=False, samples=0),
    'deform_conv': partial(deformable_conv, modulated=False, groups=2, padding=0),
    'deform_conv, parts': partial(deformable_conv, modulated=False, deform_groups=2, dilation=2),
    'modulated_deform_conv': partial(deformable_conv, modulated=True, groups=2),
    'modulated_deform_conv, parts': partial(deformable_conv, modulated=True, deform_groups=4),
}


# mmcv compiles these for GPUs alone.
def roi_pool(device: str) -> list[Tensor]:
    rois = torch.tensor(ROIS, device=device)
    return with_gradients(
        lambda x: mmcv.ops.roi_pool(x, rois, (3, 2), 0.7), torch.randn(2, 3, 12, 16).to(device)
    )


def focal_loss(device: str, name: str, weighted: bool) -> list[Tensor]:
    target = torch.tensor([0, 2, 1, 1, 2, 0], device=device)
    weight = torch.tensor([0.5, 1, 2], device=device) if weighted else None
    loss = getattr(mmcv.ops, name)
    return with_gradients(
        lambda x: loss(x, target, 1.5, 0.3, weight, 'mean'), (4 * torch.randn(6, 3)).to(device)
    )


def ms_deform_attn(device: str) -> list[Tensor]:
    function, tensors = attention()
    return with_gradients(function, *(tensor.to(device) for tensor in tensors))


ON_GPU = {
    **ON_CPU,
    'roi_pool': roi_pool,
    **{
        f'{name}, weighted {weighted}': partial(focal_loss, name=name, weighted=weighted)
        for name, weighted in product(('sigmoid_focal_loss', 'softmax_focal_loss'), (False, True))
    },
    'ms_deform_attn': ms_deform_attn,
}  # fmt: skip


def deviation(results: list[Tensor], expected: list[Tensor]) -> float:
    """Largest difference of results that have the same shapes."""
    assert [result.shape for result in results] == [tensor.shape for tensor in expected]
    pairs = zip(results, expected, strict=True)
    return max(
        float((result.detach().cpu().double() - tensor.detach().cpu().double()).abs().max())
        for result, tensor in pairs
    )


@pytest.mark.skipif(not COMPILED, reason="mmcv's ops are not compiled here")
@pytest.mark.parametrize('name', ON_CPU)
def test_as_the_compiled_ops(name: str, request: pytest.FixtureRequest) -> None:
    expected = ON_CPU[name]('cpu')
    request.getfixturevalue('stand_in')
    torch.manual_seed(0)
    assert deviation(ON_CPU[name]('cpu'), expected) < 2e-5


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
@pytest.mark.parametrize('name', ON_GPU)
def test_on_a_gpu_as_on_the_cpu(name: str, stand_in: None) -> None:
    expected = ON_GPU[name]('cpu')
    torch.manual_seed(0)
    assert deviation(ON_GPU[name]('cuda'), expected) < 1e-4


# Against equations, whatever is compiled ----------------------------------------------------------


def iou(a: list[float], b: list[float], offset: int) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0]) + offset
    height = min(a[3], b[3]) - max(a[1], b[1]) + offset
    common = max(width, 0) * max(height, 0)
    sizes = [(box[2] - box[0] + offset) * (box[3] - box[1] + offset) for box in (a, b)]
    return common / (sum(sizes) - common)


@pytest.mark.parametrize('offset', [0, 1])
def test_nms_keeps_what_no_better_box_overlaps(offset: int, stand_in: None) -> None:
    boxes, scores = boxes_and_scores()
    kept: list[int] = []
    for i in scores.argsort(descending=True).tolist():
        if all(iou(boxes[i].tolist(), boxes[j].tolist(), offset) <= 0.4 for j in kept):
            kept.append(i)
    assert 5 < len(kept) < 50
    assert mmcv.ops.nms(boxes, scores, 0.4, offset)[1].tolist() == kept


def test_nms_of_boxes_that_overlap_by_the_threshold(stand_in: None) -> None:
    # The float32 of 3/5 is larger than 0.6: mmcv, which compares float32, keeps both.
    boxes = torch.tensor([[0.0, 0, 4, 1], [1, 0, 5, 1]])
    assert mmcv.ops.nms(boxes, torch.tensor([0.9, 0.8]), 0.6)[1].tolist() == [0, 1]
    assert mmcv.ops.nms(boxes, torch.tensor([0.9, 0.8]), 0.59)[1].tolist() == [0]


@pytest.mark.parametrize('method', ['naive', 'linear', 'gaussian'])
def test_soft_nms_lowers_scores_by_the_overlap(method: str, stand_in: None) -> None:
    boxes, scores = boxes_and_scores(30)
    rest, expected = dict(enumerate(scores.tolist())), []
    while rest:
        best = max(rest, key=rest.__getitem__)
        expected.append((best, rest.pop(best)))
        for i in list(rest):
            overlap = iou(boxes[best].tolist(), boxes[i].tolist(), 0)
            factor = {'naive': 0.0, 'linear': 1 - overlap}.get(method, np.exp(-(overlap**2) / 0.5))
            rest[i] *= factor if overlap >= 0.3 or method == 'gaussian' else 1.0
            if rest[i] < 0.05:
                rest.pop(i)
    dets, kept = mmcv.ops.soft_nms(boxes, scores, 0.3, 0.5, 0.05, method)
    assert kept.tolist() == [i for i, _ in expected]
    assert torch.equal(dets[:, :4], boxes[kept])
    assert dets[:, 4].tolist() == pytest.approx([score for _, score in expected], abs=1e-6)


def test_nms_match_groups_every_box_once(stand_in: None) -> None:
    boxes, scores = boxes_and_scores()
    groups = mmcv.ops.nms_match(torch.cat([boxes, scores[:, None]], 1), 0.4)
    assert [int(group[0]) for group in groups] == mmcv.ops.nms(boxes, scores, 0.4)[1].tolist()
    assert sorted(torch.cat(groups).tolist()) == list(range(60))
    assert max(map(len, groups)) > 2
    for first, *others in (group.tolist() for group in groups):
        assert scores[[first, *others]].diff().le(0).all()
        assert all(iou(boxes[first].tolist(), boxes[i].tolist(), 0) >= 0.4 for i in others)


def test_nothing_in_nothing_out(stand_in: None) -> None:
    none = torch.zeros(0, 4)
    assert mmcv.ops.nms(none, none[:, 0], 0.5)[1].shape == (0,)
    assert mmcv.ops.soft_nms(none, none[:, 0])[1].shape == (0,)
    for layer in (mmcv.ops.RoIAlign((2, 2)), mmcv.ops.RoIPool((2, 2))):
        features = torch.rand(1, 3, 4, 4, requires_grad=True)
        output = layer(features, torch.zeros(0, 5))
        output.sum().backward()
        assert output.shape == (0, 3, 2, 2) and not features.grad.any()


@pytest.mark.parametrize('aligned', [True, False])
def test_roi_align_of_a_plane_is_its_value_in_the_middle_of_a_bin(
    aligned: bool, stand_in: None
) -> None:
    y, x = torch.meshgrid(torch.arange(12.0), torch.arange(16.0), indexing='ij')
    output = mmcv.ops.RoIAlign((2, 4), 0.5, aligned=aligned)(
        (100 * y + x)[None, None], torch.tensor([[0, 4.0, 6.0, 20.0, 18.0]])
    )
    rows, columns = torch.tensor([4.5, 7.5]), torch.tensor([3.0, 5.0, 7.0, 9.0])
    expected = 100 * rows[:, None] + columns - 50.5 * aligned
    torch.testing.assert_close(output[0, 0], expected)


def test_roi_pool_takes_maxima_of_bins(stand_in: None) -> None:
    beside = [[0, 90, 90, 99, 99], [1, -40, 2, -20, 9], [0, 9, 3, 7.8, 8]]  # and turned around
    features, rois = torch.randn(2, 3, 12, 16), torch.tensor([*ROIS, *beside])
    output = mmcv.ops.roi_pool(features, rois, (3, 2), 0.7)
    assert not output[4:].any()

    def bins(start: float, end: float, number: int) -> list[slice]:
        borders = np.linspace(np.float32(start) * 0.7, np.float32(end + 1) * 0.7, number + 1)
        pairs = zip(np.floor(borders[:-1]), np.ceil(borders[1:]), strict=True)
        return [slice(int(low), int(high)) for low, high in pairs]

    for (image, x1, y1, x2, y2), pooled in zip(ROIS, output, strict=False):
        for (i, rows), (j, columns) in product(
            enumerate(bins(y1, y2, 3)), enumerate(bins(x1, x2, 2))
        ):
            window = features[image, :, rows, columns]
            expected = window.amax((1, 2)) if window.numel() else torch.zeros(3)
            assert torch.equal(pooled[:, i, j], expected)


@pytest.mark.parametrize('gamma', [0.0, 0.5, 2.0])
@pytest.mark.parametrize('weighted', [False, True])
def test_sigmoid_focal_loss_is_torchvisions(gamma: float, weighted: bool, stand_in: None) -> None:
    logits = (4 * torch.randn(20, 3)).double()
    # -1 is to be ignored and 3 the background; neither has a class weight.
    target = torch.randint(*((0, 3) if weighted else (-1, 4)), (20,))
    weight = torch.rand(3).double() if weighted else None
    factors = weight[target][:, None] if weight is not None else 1.0

    def expected(x: Tensor) -> Tensor:
        one_hot = (target[:, None] == torch.arange(3)).to(x)
        return (torchvision.ops.sigmoid_focal_loss(x, one_hot, 0.3, gamma) * factors).sum() / 20

    def loss(x: Tensor) -> Tensor:
        return mmcv.ops.sigmoid_focal_loss(x, target, gamma, 0.3, weight, 'mean')

    assert deviation(with_gradients(loss, logits), with_gradients(expected, logits)) < 1e-12


@pytest.mark.parametrize('gamma', [0.0, 0.5, 2.0])
@pytest.mark.parametrize('weighted', [False, True])
def test_softmax_focal_loss_follows_its_equation(
    gamma: float, weighted: bool, stand_in: None
) -> None:
    logits, target = (4 * torch.randn(20, 3)).double(), torch.randint(-1, 3, (20,))
    weight = torch.rand(3).double() if weighted else None

    def expected(x: Tensor) -> Tensor:
        index = target.clamp(min=0)
        log_p = x.log_softmax(1)[torch.arange(20), index]
        loss = -0.3 * (1 - log_p.exp()) ** gamma * log_p
        return (loss * (target >= 0) * (1.0 if weight is None else weight[index])).sum() / 20

    def loss(x: Tensor) -> Tensor:
        return mmcv.ops.softmax_focal_loss(x, target, gamma, 0.3, weight, 'mean')

    assert deviation(with_gradients(loss, logits), with_gradients(expected, logits)) < 1e-12


@pytest.mark.parametrize('gamma', [0.0, 0.5, 2.0])
@pytest.mark.parametrize('name', ['sigmoid_focal_loss', 'softmax_focal_loss'])
def test_focal_losses_of_extreme_logits_are_finite(name: str, gamma: float, stand_in: None) -> None:
    logits = torch.tensor([[500.0, -500.0], [-500.0, 500.0], [0.0, 0.0]])
    loss = getattr(mmcv.ops, name)
    for result in with_gradients(lambda x: loss(x, torch.tensor([0, 0, 1]), gamma), logits):
        assert result.isfinite().all()


@pytest.mark.parametrize('modulated', [False, True])
@pytest.mark.parametrize(
    'sizes', [dict(), dict(groups=2, padding=0), dict(deform_groups=2, dilation=2, padding=3)]
)
def test_deformable_convolution_samples_where_the_offsets_point(
    modulated: bool, sizes: dict[str, int], stand_in: None
) -> None:
    function, tensors = deformable(modulated, **sizes)
    tensors = [tensor.double() for tensor in tensors]
    padding, dilation = sizes.get('padding', 1), sizes.get('dilation', 1)
    groups, parts = sizes.get('groups', 1), sizes.get('deform_groups', 1)

    def expected(features: Tensor, offset: Tensor, *others: Tensor) -> Tensor:
        mask, weight, bias = others if modulated else (None, *others, None)
        height, width = offset.shape[2:]
        # [n x parts x 3 x 3 x (y, x) x height x width]
        shifts = offset.reshape(2, parts, 3, 3, 2, height, width)
        columns = []
        for part, row, column in product(range(parts), range(3), range(3)):
            shift = shifts[:, part, row, column]
            y = torch.arange(height)[:, None] * 2 - padding + row * dilation + shift[:, 0]
            x = torch.arange(width) * 2 - padding + column * dilation + shift[:, 1]
            places = torch.stack([2 * x / 7 - 1, 2 * y / 8 - 1], dim=-1)
            channels = features.chunk(parts, 1)[part]
            sampled = functional.grid_sample(channels, places, align_corners=True)
            if mask is not None:
                sampled = sampled * mask[:, part * 9 + row * 3 + column][:, None]
            columns.append(sampled)
        # A column for each channel and place of the kernel, as a convolution of 1 x 1 reads them.
        columns = [torch.stack(columns[p * 9 : p * 9 + 9], 2).flatten(1, 2) for p in range(parts)]
        kernel = weight.flatten(1)[:, :, None, None]
        return functional.conv2d(torch.cat(columns, 1), kernel, bias, groups=groups)

    results, wanted = with_gradients(function, *tensors), with_gradients(expected, *tensors)
    assert deviation(results, wanted) < 1e-10


def test_gradients_by_finite_differences(stand_in: None) -> None:
    rois = torch.tensor(ROIS).double()
    features = torch.rand(2, 1, 8, 9).double().requires_grad_()
    layer = mmcv.ops.RoIAlign((2, 2), 0.5)
    assert gradcheck(lambda x: layer(x, rois), features)
    assert gradcheck(lambda x: mmcv.ops.roi_pool(x, rois, 2, 0.5), features)
    function, tensors = attention()
    assert gradcheck(function, [tensor.double().requires_grad_() for tensor in tensors])


def test_attention_is_the_weighted_sum_of_the_sampled_values(stand_in: None) -> None:
    function, (values, locations, weights) = attention()
    # The middle of the last place of level 0 (20 places) and of the first place of level 1.
    locations[..., 0, :, :] = torch.tensor([4.5 / 5, 3.5 / 4])
    locations[..., 1, :, :] = torch.tensor([0.5 / 3, 0.5 / 2])
    sums = weights.sum(-1)[..., None]  # [n x queries x heads x levels x 1]
    expected = sums[..., 0, :] * values[:, None, 19] + sums[..., 1, :] * values[:, None, 20]
    torch.testing.assert_close(function(values, locations, weights), expected.flatten(2))


# All the others -----------------------------------------------------------------------------------


def test_another_op_names_itself_and_what_to_do(stand_in: None) -> None:
    box = torch.tensor([[5.0, 5, 2, 2, 0.1]])
    with pytest.raises(NotImplementedError, match=r'op box_iou_rotated .*make install OPS=1'):
        mmcv.ops.box_iou_rotated(box, box)
    layer = mmcv.ops.RoIAlign((2, 2), pool_mode='max')
    with pytest.raises(NotImplementedError, match=r"roi_align with pool_mode='max'"):
        layer(torch.rand(1, 1, 4, 4), torch.tensor([[0, 0.0, 0, 3, 3]]))


def test_looking_up_does_not_call(stand_in: None) -> None:
    assert hasattr(mmcv_ops, 'carafe_forward')  # as mmcv's load_ext asks
    for name in ('__path__', '__wrapped__', '_private'):
        assert not hasattr(mmcv_ops, name)
    for name in ('nms', 'carafe_forward'):
        copy = pickle.loads(pickle.dumps(getattr(mmcv_ops, name)))
        assert callable(copy)
    assert mmcv.ops.get_compiling_cuda_version() == 'not compiled'
