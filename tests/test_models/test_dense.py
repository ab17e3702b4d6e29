"""Dense prediction: regression by mmseg's heads, SegNet, and joint training on real files."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fixtures_dense import dense_config, write_nyud
from fixtures_training import run, scalars
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import nn

from mmgradsplit.apis.preparation import prepare
from mmgradsplit.models import DenseRegressor, RegressionHead, SegNetEncoder
from mmgradsplit.registry import MODELS
from mmgradsplit.studies.trainings import Training


@pytest.fixture(autouse=True)
def in_our_scope() -> None:
    init_default_scope('mmgradsplit')
    torch.manual_seed(0)


def head(classes: int, field: str, loss: dict, **options: Any) -> RegressionHead:
    """One 1x1 convolution, so that predictions can be worked out by hand."""
    one = dict(out_channels=1, threshold=0.5) if classes == 1 else {}
    return RegressionHead(
        field,
        dict(
            type='mmseg.FCNHead',
            in_channels=2,
            channels=2,
            num_convs=0,
            concat_input=False,
            num_classes=classes,
            dropout_ratio=0.0,
            align_corners=False,
            **one,
        ),
        loss,
        **options,
    )


def sample(field: str, data: torch.Tensor, shape: tuple[int, int] | None = None) -> SegDataSample:
    made = SegDataSample(metainfo=dict(img_shape=shape or tuple(data.shape[1:])))
    made.set_data({field: PixelData(data=data)})
    return made


def test_the_loss_may_be_the_mean_over_all_measured_pixels() -> None:
    """As in AMTL's code: an image with more annotated pixels weighs more."""
    module = head(3, 'gt_normal_map', dict(type='mmdet.L1Loss'), average='pixel').double()
    features = torch.rand(3, 2, 4, 6, dtype=torch.float64)
    targets = torch.rand(3, 3, 4, 6, dtype=torch.float64)
    targets[0, 1, :, 1:] = torch.nan  # one channel is enough
    targets[2] = torch.nan
    values = module([features])
    errors = [
        abs(float(values[i, c, y, x]) - float(targets[i, c, y, x]))
        for i, y, x in itertools.product(range(3), range(4), range(6))
        if not targets[i, :, y, x].isnan().any()
        for c in range(3)
    ]
    assert len(errors) == 3 * (4 + 24)
    samples = [sample('gt_normal_map', target) for target in targets]
    loss = module.loss([features], samples, None)['loss_regression']
    assert loss.item() == pytest.approx(sum(errors) / len(errors), rel=1e-12)
    with pytest.raises(ValueError, match="average must be 'image' or 'pixel', got 'batch'"):
        head(1, 'gt_depth_map', dict(type='mmdet.L1Loss'), average='batch')


def test_the_loss_is_the_mean_over_measured_pixels_then_images() -> None:
    module = head(1, 'gt_depth_map', dict(type='mmdet.L1Loss'))
    features = torch.rand(3, 2, 4, 6)
    targets = 1 + torch.rand(3, 1, 4, 6)
    targets[0, 0, :, 1:] = torch.nan  # four pixels remain
    targets[2] = torch.nan
    values = module([features])
    images = []
    for value, target in zip(values, targets, strict=True):
        errors = [
            abs(float(value[0, y, x]) - float(target[0, y, x]))
            for y, x in itertools.product(range(4), range(6))
            if not torch.isnan(target[0, y, x])
        ]
        images.append(sum(errors) / len(errors) if errors else 0.0)
    loss = module.loss([features], [sample('gt_depth_map', t) for t in targets], None)
    assert loss['loss_regression'].item() == pytest.approx(sum(images) / 3, rel=1e-5)
    loss['loss_regression'].backward()
    gradients = [p.grad for p in module.parameters()]
    assert all(gradient is None or gradient.isfinite().all() for gradient in gradients)


def test_a_batch_without_any_measurement_trains_nothing() -> None:
    module = head(1, 'gt_depth_map', dict(type='mmdet.L1Loss'))
    targets = torch.full((2, 1, 4, 6), torch.nan)
    samples = [sample('gt_depth_map', target) for target in targets]
    loss = module.loss([torch.rand(2, 2, 4, 6)], samples, None)['loss_regression']
    loss.backward()
    assert loss.item() == 0
    assert all(not p.grad.any() for p in module.parameters() if p.grad is not None)


def test_padding_is_not_trained_on() -> None:
    """The preprocessor of mmseg pads depth with 255, and other maps not at all."""
    cfg = dict(type='mmseg.SegDataPreProcessor', size=(4, 6), seg_pad_val=255)
    preprocessor = MODELS.build(cfg)
    module = head(1, 'gt_depth_map', dict(type='mmdet.L1Loss'))
    depth = torch.rand(1, 3, 5)
    data = dict(
        inputs=[torch.zeros(3, 3, 5)],
        data_samples=[sample('gt_depth_map', depth.clone())],
    )
    padded = preprocessor(data, True)['data_samples']
    assert padded[0].gt_depth_map.data.max() == 255
    features = torch.rand(1, 2, 4, 6)
    loss = module.loss([features], padded, None)['loss_regression']
    corner = (module([features])[0, :, :3, :5] - depth).abs().mean()
    torch.testing.assert_close(loss, corner)


def predicted(field: str, classes: int) -> tuple[SegDataSample, torch.Tensor]:
    """A sample with the prediction of a new network, and the values of its last convolution."""
    network = DenseRegressor(
        backbone=dict(
            type='mmseg.ResNet', depth=18, num_stages=1, out_indices=(0,), strides=(1,),
            dilations=(1,), base_channels=4, stem_channels=4,
        ),
        decode_head=dict(
            type='RegressionHead',
            field=field,
            head=dict(
                type='mmseg.FCNHead', in_channels=4, channels=4, num_classes=classes,
                out_channels=classes, align_corners=False,
            ),
            loss=dict(type='mmdet.L1Loss'),
        ),
        train_cfg=dict(),
        test_cfg=ConfigDict(mode='whole'),
    ).eval()  # fmt: skip
    values: list[torch.Tensor] = []
    network.decode_head.head.conv_seg.register_forward_hook(lambda *args: values.append(args[2]))
    metainfo = dict(img_shape=(16, 24), ori_shape=(32, 48))
    with torch.no_grad():
        (found,) = network.predict(torch.rand(1, 3, 16, 24), [SegDataSample(metainfo=metainfo)])
    assert 'pred_depth_map' not in found
    resized = nn.functional.interpolate(values[0], (16, 24), mode='bilinear')
    return found, nn.functional.interpolate(resized, (32, 48), mode='bilinear')[0]


def test_normals_are_predicted_with_length_one() -> None:
    found, values = predicted('gt_normal_map', 3)
    torch.testing.assert_close(found.pred_normal_map.data, values / values.norm(dim=0))


def test_other_maps_of_several_channels_keep_their_values() -> None:
    found, values = predicted('gt_flow_map', 2)
    assert values.shape == (2, 32, 48)
    torch.testing.assert_close(found.pred_flow_map.data, values)


def test_the_normal_loss_is_one_minus_the_cosine() -> None:
    cosine = dict(type='mmpretrain.CosineSimilarityLoss', shift_factor=1.0)
    module = head(3, 'gt_normal_map', cosine)
    features = torch.rand(1, 2, 4, 6)
    values = module([features]).detach()[0]
    for target, expected in ((values, 0.0), (-2 * values, 2.0)):
        loss = module.loss([features], [sample('gt_normal_map', target)], None)
        assert loss['loss_regression'].item() == pytest.approx(expected, abs=1e-6)


# ---- SegNet ----


def test_segnet_encoder_has_vgg16s_convolutions_and_torchvisions_names() -> None:
    from torchvision.models import vgg16_bn

    encoder = SegNetEncoder()
    with torch.device('meta'):
        names = {name for name in vgg16_bn().state_dict() if name.startswith('features')}
    assert set(encoder.state_dict()) == names
    x, *indices = encoder(torch.rand(2, 3, 64, 96))
    assert x.shape == (2, 512, 2, 3)
    assert [tuple(of.shape[2:]) for of in indices] == [(32, 48), (16, 24), (8, 12), (4, 6), (2, 3)]


@pytest.mark.parametrize('size', [(64, 96), (52, 70)])
def test_segnet_puts_values_back_where_the_maxima_were(size: tuple[int, int]) -> None:
    """With convolutions that change nothing, unpooling undoes pooling at the maxima."""
    encoder = SegNetEncoder().eval()
    decoder = MODELS.build(
        dict(type='mmgradsplit.SegNetHead', _scope_='mmseg', num_classes=5, align_corners=False)
    ).eval()
    with torch.no_grad():
        features = encoder(torch.rand(1, 3, *size))
        assert decoder(features).shape == (1, 5, *size)
        decoder.blocks = nn.ModuleList(nn.Identity() for _ in decoder.blocks)
        decoder.cls_seg = lambda x: x
        channels = min(of.shape[1] for of in features)
        small = [of[:, :channels] for of in features]
        out = decoder(small)
    assert int((out != 0).sum()) <= small[0].numel()
    assert out.sum() == pytest.approx(float(small[0].sum()), rel=1e-4)


# ---- joint training on files ----


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_nyud(tmp_path_factory.mktemp('nyud') / 'data')


TWO, THREE = ('seg', 'depth'), ('seg', 'depth', 'normal')


@pytest.mark.parametrize(
    ('name', 'method', 'tasks'),
    [
        ('ft', None, TWO),
        ('ft', None, THREE),
        ('ista', None, THREE),
        ('ista', 'ista_uw', TWO),
        ('ftplus', 'sta', TWO),
        ('ftplus', 'sta_uw', TWO),
    ],
)
def test_it_trains_and_validates(
    data: Path, tmp_path: Path, name: str, method: str | None, tasks: tuple
) -> None:
    runner = run(dense_config(f'{name}_r18_scenes', data, tmp_path, tasks), tmp_path, method=method)
    found = runner.message_hub.log_scalars
    for key in ('seg/mIoU', 'depth/rmse', 'depth/abs_err', 'depth/delta1'):
        assert np.isfinite(found[f'val/{key}'].current())
    if 'normal' in tasks:
        assert 0 < found['val/normal/mean'].current() < 180
    assert runner.train_loop.sub_steps == (len(tasks) if name == 'ista' else 1)


@pytest.mark.parametrize(('name', 'steps'), [('ft', 2), ('ista', 4)])
def test_many_trainings_know_how_long_one_is(
    data: Path, tmp_path: Path, name: str, steps: int
) -> None:
    """Two epochs of one batch; ISTA takes two steps on it. The progress bar counts them."""
    cfg = prepare(dense_config(f'{name}_r18_scenes', data, tmp_path))
    assert Training(name, 0, cfg).steps == steps


@pytest.mark.parametrize('method', ['sta', 'ista_uw'])
def test_mixed_precision_stays_close(data: Path, tmp_path: Path, method: str) -> None:
    """bfloat16 has three significant digits; the allocations, so the first losses, are the same."""
    first = []
    for amp in (False, True):
        cfg = dense_config('ft_r18_scenes', data, tmp_path)
        cfg.default_hooks.logger.interval = 1
        folder = tmp_path / str(amp)
        runner = run(cfg, folder, amp=amp, method=method)
        assert all(p.isfinite().all() for p in runner.model.parameters())
        first.append(scalars(folder)[0]['loss'])
    assert first[1] == pytest.approx(first[0], rel=0.03)
    assert first[1] != first[0]


def test_a_depth_map_with_nan_trains_to_finite_weights(tmp_path: Path) -> None:
    """One map with holes, one that is all hole."""
    root = write_nyud(tmp_path / 'data')
    for name, rows in (('00000', slice(0, 5)), ('00001', slice(None))):
        path = root / 'depth' / f'{name}.npy'
        depth = np.load(path)
        depth[rows] = np.nan
        np.save(path, depth)
    runner = run(dense_config('ft_r18_scenes', root, tmp_path), tmp_path / 'run')
    assert all(p.isfinite().all() for p in runner.model.parameters())
    assert runner.message_hub.log_scalars['train/depth/loss'].current() > 0


def test_a_sample_without_depth_is_never_allocated_to_it(tmp_path: Path) -> None:
    root = write_nyud(tmp_path / 'data')
    (root / 'depth' / '00001.npy').unlink()
    seen: list[list[str]] = []
    runner_cfg = dense_config('r18_scenes', root, tmp_path / 'run', train_cfg__max_epochs=8)
    original = RegressionHead.loss

    def spy(self: RegressionHead, inputs: Any, samples: Any, cfg: Any) -> Any:
        seen.append([Path(of.metainfo['img_path']).stem for of in samples])
        return original(self, inputs, samples, cfg)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RegressionHead, 'loss', spy)
        run(runner_cfg, tmp_path / 'run')
    flat = {name for names in seen for name in names}
    assert flat == {'00000', '00002'}


def test_a_data_set_without_a_tasks_annotation_is_refused(data: Path, tmp_path: Path) -> None:
    cfg = dense_config('r18_scenes', data, tmp_path)
    cfg.train_cfg.annotations.depth = 'gt_disparity_map'
    with pytest.raises(ValueError, match=r"no sample is annotated for the tasks \['depth'\]"):
        run(cfg, tmp_path)
