"""One task as a plain model: the toolbox alone computes the same, bit for bit."""

import copy
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fixtures_deeplab import deeplab_config
from fixtures_dense import dense_config
from fixtures_export import (
    save_network,
    small,
    task_specific_layer4,
    two_stages,
    with_norms_by_task,
    write_all_data,
)
from fixtures_training import GN, quick, tiny_config, write_data
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmseg.apis import init_model
from mmseg.models.segmentors import DepthEstimator
from mmseg.structures import SegDataSample

from mmgradsplit.apis import load_model
from mmgradsplit.export import export_task
from mmgradsplit.export.parts import part_sources

ROOT = Path(__file__).resolve().parents[2]
SIZE = (64, 64)
DENSE = ('seg', 'depth', 'normal')


Case = tuple[Callable[[Path, Path], Config], list[str]]
CASES: dict[str, Case] = {
    'four': (lambda data, _: tiny_config(data), ['attribute', 'reid', 'pose', 'parsing']),
    'detector': (lambda data, _: small(tiny_config(data, ('pose',))), ['detection', 'pose']),
    'two stages': (lambda data, _: two_stages(tiny_config(data, ('pose',))), ['detection']),
    'norms by task': (
        lambda data, _: with_norms_by_task(tiny_config(data, ('reid', 'pose'))),
        ['reid', 'pose'],
    ),
    'own layer4': (
        lambda data, _: task_specific_layer4(tiny_config(data, ('pose', 'parsing'))),
        ['pose', 'parsing'],
    ),
    'dense': (
        lambda data, work: dense_config('ft_r18_scenes', data / 'nyud', work, DENSE), [*DENSE]
    ),
    'shared neck': (
        lambda data, work: deeplab_config('uniform_r50_deeplabv3plus_nyuv2', data / 'nyud', work),
        ['seg', 'normal'],
    ),
}  # fmt: skip


def sample() -> DetDataSample:
    """What detectors of two stages ask for; the other models do not look at it."""
    return DetDataSample(metainfo=dict(img_shape=SIZE, ori_shape=SIZE, scale_factor=(1.0, 1.0)))


@pytest.fixture(scope='module')
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """Every case's tasks exported, and what the multi-task network makes of an image."""
    folder = tmp_path_factory.mktemp('exported')
    data = write_all_data(folder / 'data')
    image = torch.randn(1, 3, *SIZE, generator=torch.Generator().manual_seed(1))
    ours = {}
    with quick():
        for case, (config, tasks) in CASES.items():
            model = save_network(config(data, folder / 'work'), folder / f'{case}.pth')
            for task in tasks:
                files = export_task(folder / f'{case}.pth', task, folder / case)
                with torch.no_grad():
                    outputs = model(image, [sample()], task=task, mode='tensor')
                ours[case, task] = (str(files.config), str(files.checkpoint), outputs)
    torch.save((image, sample(), ours), folder / 'ours.pt')
    return folder, ours


# What a process without mmgradsplit does; where mmcv's ops are not compiled in this environment,
# the file that stands for them is loaded by itself.
ALONE = """
import importlib.util, pickle, sys, types
sys.path[:] = [path for path in sys.path if path not in ('', sys.argv[1])]
sys.modules['mmgradsplit'] = None
try:
    import xtcocotools._mask
except (ImportError, ValueError):
    import pycocotools._mask
    sys.modules['xtcocotools._mask'] = pycocotools._mask
if importlib.util.find_spec('mmcv._ext') is None:
    file = sys.argv[1] + '/mmgradsplit/compat/mmcv_ops.py'
    spec = importlib.util.spec_from_file_location('mmcv._ext', file)
    sys.modules['mmcv._ext'] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope, MODELS, init_default_scope
from mmengine.runner import load_checkpoint
import mmdet.apis, mmpose.apis, mmpretrain.apis, mmseg.apis
load = dict(
    mmdet=lambda c, w: mmdet.apis.init_detector(c, w, device='cpu'),
    mmpose=lambda c, w: mmpose.apis.init_model(c, w, device='cpu'),
    mmpretrain=lambda c, w: mmpretrain.apis.get_model(c, pretrained=w, device='cpu'),
    mmseg=lambda c, w: mmseg.apis.init_model(c, w, device='cpu'),
)
image, sample, cases = torch.load(sys.argv[2], weights_only=False)
theirs = {}
for case, (config, weights, _) in cases.items():
    cfg = Config.fromfile(config)
    scope = cfg.default_scope
    with DefaultScope.overwrite_default_scope(scope):
        model = load[scope](cfg, weights).eval()
        with torch.no_grad():
            outputs = model(image, [sample], mode='tensor')
            theirs[case] = scope, type(model).__module__, outputs
try:
    import mmgradsplit
    raise SystemExit('mmgradsplit is importable')
except ImportError:
    torch.save(theirs, sys.argv[3])
"""


@pytest.fixture(scope='module')
def alone(exported: tuple[Path, dict]) -> dict:
    """What the toolboxes make of the image in a process that cannot import mmgradsplit."""
    folder, _ = exported
    command = [
        sys.executable,
        '-P',
        '-c',
        ALONE,
        str(ROOT),
        folder / 'ours.pt',
        folder / 'theirs.pt',
    ]
    environment = {key: value for key, value in os.environ.items() if key != 'PYTHONPATH'}
    result = subprocess.run(
        command, cwd=folder, env=environment | {'OMP_NUM_THREADS': '1'}, capture_output=True,
        text=True,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-3000:]
    return torch.load(folder / 'theirs.pt', weights_only=False)


TOOLBOX = dict(
    attribute='mmpretrain', reid='mmpretrain', pose='mmpose', parsing='mmseg', detection='mmdet',
    seg='mmseg', depth='mmseg', normal='mmseg',
)  # fmt: skip


@pytest.mark.parametrize(
    ('case', 'task'), [(case, task) for case, (_, tasks) in CASES.items() for task in tasks]
)
def test_the_toolbox_alone_computes_the_same(
    exported: tuple[Path, dict], alone: dict, case: str, task: str
) -> None:
    _, ours = exported
    scope, module, outputs = alone[case, task]
    assert scope == TOOLBOX[task]
    assert module.startswith((scope, 'mmgradsplit_parts_'))
    assert pickle.dumps(_flat(outputs)) == pickle.dumps(_flat(ours[case, task][2]))


def _flat(outputs: Any) -> list[list]:
    """The numbers of all tensors of an output, at any depth."""
    if isinstance(outputs, torch.Tensor):
        return [[list(outputs.shape), outputs.flatten().tolist()]]
    parts = outputs.values() if isinstance(outputs, dict) else outputs
    return [each for part in parts for each in _flat(part)]


def test_depth_is_mmsegs_own_and_normals_stay_ours(exported: tuple[Path, dict]) -> None:
    """The toolbox would call normals depth, and not give them their length."""
    folder, ours = exported
    network = load_model(None, folder / 'dense.pth', 'cpu')
    image = torch.randn(1, 3, *SIZE, generator=torch.Generator().manual_seed(2))
    config, weights, _ = ours['dense', 'depth']
    plain = init_model(config, weights, device='cpu')
    assert type(plain) is DepthEstimator and type(plain.decode_head).__module__.startswith('mmseg')
    metas = dict(ori_shape=(40, 50), img_shape=SIZE, pad_shape=SIZE, padding_size=[0, 0, 0, 0])
    with torch.no_grad():
        (one,) = network(image, [SegDataSample(metainfo=metas)], task='depth', mode='predict')
        (other,) = plain(image, [SegDataSample(metainfo=metas)], mode='predict')
    assert one.pred_depth_map.shape == (40, 50)
    assert torch.equal(one.pred_depth_map.data, other.pred_depth_map.data)
    normals = Config.fromfile(ours['dense', 'normal'][0]).model
    assert normals.type == 'mmengine.DenseRegressor'


def test_plain_names_and_configs(exported: tuple[Path, dict]) -> None:
    _, ours = exported
    for (case, task), (config, checkpoint, _) in ours.items():
        content = torch.load(checkpoint, weights_only=False)
        names = [*content['state_dict']]
        assert any(name.startswith('backbone.layer') for name in names), (case, task)
        assert not any(name.startswith(('tasks.', 'backbone.backbone.')) for name in names)
        assert content['meta']['dataset_meta'] == dict(classes=('a', 'b'))
        text = Path(config).read_text()
        assert "'mmgradsplit." not in text and 'SharedBackbone' not in text
    layer4 = torch.load(ours['own layer4', 'pose'][1], weights_only=False)['state_dict']
    assert any(name.startswith('backbone.layer4.') for name in layer4)
    assert not any(name.startswith('neck.') for name in layer4)


def test_a_data_set_around_another_is_exported_too(tmp_path: Path) -> None:
    cfg = tiny_config(write_data(tmp_path / 'data'), ('pose',))
    inner = cfg.val_dataloader.pose.dataset
    cfg.val_dataloader.pose.dataset = dict(type='RepeatDataset', times=2, dataset=inner)
    with quick():
        save_network(cfg, tmp_path / 'network.pth')
        files = export_task(tmp_path / 'network.pth', 'pose', tmp_path / 'out')
    found = Config.fromfile(files.config).test_dataloader.dataset
    assert found.type == 'RepeatDataset' and not files.notes
    steps = found.dataset.pipeline
    assert len(steps) == len(inner.pipeline)
    assert 'mmpose.' in steps[0].type and steps[-1].type == 'mmpose.PackPoseInputs'


def test_nothing_is_overwritten_and_mistakes_are_said(
    exported: tuple[Path, dict], tmp_path: Path
) -> None:
    folder, _ = exported
    with pytest.raises(FileExistsError, match=r"four/pose\.py' is there already"):
        export_task(folder / 'four.pth', 'pose', folder / 'four')
    with pytest.raises(KeyError, match=r"no task 'poses'.*did you mean 'pose'"):
        export_task(folder / 'four.pth', 'poses', tmp_path)
    with pytest.raises(FileNotFoundError, match='no checkpoint'):
        export_task(tmp_path / 'none.pth', 'pose', tmp_path)
    content = torch.load(folder / 'four.pth', weights_only=False)
    del content['meta']['cfg']
    torch.save(content, tmp_path / 'bare.pth')
    with pytest.raises(ValueError, match=r'holds no config: give the config, too'):
        export_task(tmp_path / 'bare.pth', 'pose', tmp_path)


def test_what_a_plain_model_cannot_be_is_said(tmp_path: Path) -> None:
    data = write_data(tmp_path / 'data')
    grouped = with_norms_by_task(tiny_config(data, ('pose',)))
    grouped.model.backbone.norm_cfg = dict(type='mmgradsplit.TaskNorm', norm=GN)
    other = task_specific_layer4(tiny_config(data, ('pose',)))
    other.model.tasks.pose.neck = copy.deepcopy(other.model.tasks.pose.neck)
    other.model.backbone.out_indices = (2,)
    for cfg, words in ((grouped, r"norms of the type 'GN'"), (other, r'does not continue')):
        with quick():
            save_network(cfg, tmp_path / 'network.pth')
            with pytest.raises(ValueError, match=words):
                export_task(tmp_path / 'network.pth', 'pose', tmp_path / 'out')
        assert not (tmp_path / 'out').exists()
    with pytest.raises(ValueError, match='more of mmgradsplit'):
        part_sources({'STAMaskRCNN'})
