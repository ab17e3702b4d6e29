"""All tasks as one graph: the network's own numbers, whoever runs it."""

import importlib
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from fixtures_dense import dense_config
from fixtures_export import (
    alike,
    save_network,
    small,
    task_specific_layer4,
    two_stages,
    with_norms_by_task,
    write_all_data,
)
from fixtures_training import tiny_config
from mmengine.config import Config

from mmgradsplit.export import TaskGraph, export_graph
from mmgradsplit.utils.safetensors_files import from_text

onnx = pytest.importorskip('onnx', reason='onnx is not installed (extra "onnx")')
onnxruntime = pytest.importorskip('onnxruntime', reason='onnxruntime is not installed')

SIZE = (64, 64)
NAMES = dict(pose='heatmaps', depth='values', normal='values', detection='outputs')


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_all_data(tmp_path_factory.mktemp('data'))


CASES = ['four', 'norms by task', 'own layer4', 'detector', 'dense']


def configs(data: Path, work: Path) -> dict[str, Config]:
    return {
        'four': alike(tiny_config(data)),
        'norms by task': with_norms_by_task(alike(tiny_config(data, ('reid', 'pose')))),
        'own layer4': task_specific_layer4(alike(tiny_config(data, ('pose', 'parsing')))),
        'detector': small(alike(tiny_config(data, ('pose',)))),
        'dense': dense_config('ft_r18_scenes', data / 'nyud', work, ('seg', 'depth', 'normal')),
    }


def expected(model: Any, tasks: list[str], rgb: torch.Tensor) -> dict[str, torch.Tensor]:
    """What the network's tasks make of pictures that their own preprocessors normalise."""
    outputs = {}
    for task in tasks:
        network = model.tasks[task]
        mean, std = network.data_preprocessor.mean, network.data_preprocessor.std
        inputs = (rgb.float() - mean.view(-1, 1, 1)) / std.view(-1, 1, 1)
        with torch.no_grad():
            if task == 'reid':
                features = model.backbone_pass(inputs, task)
                outputs['reid/embedding'] = network.head.pre_logits(features)
                continue
            made = model(inputs, task=task, mode='tensor')
        name = NAMES.get(task, 'logits')
        outputs.update(flat(f'{task}/{name}', made))
    return outputs


def flat(name: str, made: Any) -> dict[str, torch.Tensor]:
    if isinstance(made, torch.Tensor):
        return {name: made}
    return {
        key: each for i, part in enumerate(made) for key, each in flat(f'{name}_{i}', part).items()
    }


@pytest.mark.parametrize('case', CASES)
def test_onnxruntime_computes_what_the_network_does(data: Path, tmp_path: Path, case: str) -> None:
    cfg = configs(data, tmp_path / 'work')[case]
    model = save_network(cfg, tmp_path / 'network.pth')
    tasks = list(model.tasks)
    file = tmp_path / 'graph.onnx'
    exported = export_graph(tmp_path / 'network.pth', file, size=SIZE)
    session = onnxruntime.InferenceSession(str(file), providers=['CPUExecutionProvider'])
    assert [(each.name, each.type) for each in session.get_inputs()] == [
        ('images', 'tensor(uint8)')
    ]
    names = [each.name for each in session.get_outputs()]
    assert names == list(exported.outputs) == list(exported.difference)
    for number in (1, 3):
        rgb = torch.randint(0, 256, (number, 3, *SIZE), dtype=torch.uint8)
        ours = expected(model, tasks, rgb)
        assert list(ours) == names
        for name, theirs in zip(names, session.run(None, {'images': rgb.numpy()}), strict=True):
            scale = ours[name].abs().max().clamp(min=1)
            assert theirs.shape == tuple(ours[name].shape)
            assert np.abs(theirs - ours[name].numpy()).max() < 1e-4 * scale, name
    meta = from_text(onnx.load(file).metadata_props[0].value)
    assert meta['tasks'] == tasks and meta['size'] == [64, 64]
    assert not list(tmp_path.glob('graph.onnx?*'))  # no weights beside it


@pytest.mark.parametrize('case', CASES)
def test_torch_export_is_exact(data: Path, tmp_path: Path, case: str) -> None:
    model = save_network(configs(data, tmp_path / 'work')[case], tmp_path / 'network.pth')
    tasks = [*model.tasks]
    exported = export_graph(
        tmp_path / 'network.pth', tmp_path / 'g.pt2', kind='pt2', size=SIZE, tasks=tasks[::-1]
    )
    rgb = torch.randint(0, 256, (5, 3, *SIZE), dtype=torch.uint8)
    ours = expected(model, tasks, rgb)
    assert list(exported.outputs) == [*ours]
    found = torch.export.load(tmp_path / 'g.pt2').module()(rgb)
    for name, theirs in zip(ours, found, strict=True):
        assert torch.equal(theirs, ours[name]), name


def test_normalising_may_stay_outside(data: Path, tmp_path: Path) -> None:
    model = save_network(alike(tiny_config(data, ('pose',))), tmp_path / 'network.pth')
    file = tmp_path / 'g.pt2'
    export_graph(tmp_path / 'network.pth', file, kind='pt2', size=SIZE, normalised=True)
    images = torch.randn(5, 3, *SIZE)
    (heatmaps,) = torch.export.load(file).module()(images)
    with torch.no_grad():
        assert torch.equal(heatmaps, model(images, task='pose', mode='tensor'))


def test_a_graph_that_computes_something_else_is_not_left(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_network(alike(tiny_config(data, ('pose',))), tmp_path / 'network.pth')
    load = torch.export.load

    def wrong(file: Path) -> Any:
        module = load(file).module()
        return SimpleNamespace(
            module=lambda: lambda images: [1.01 * each for each in module(images)]
        )

    monkeypatch.setattr(torch.export, 'load', wrong)
    with pytest.raises(ValueError, match=r'something else than the network: pose/heatmaps is off'):
        export_graph(tmp_path / 'network.pth', tmp_path / 'out/g.pt2', kind='pt2', size=SIZE)
    assert not [*(tmp_path / 'out').iterdir()]


def test_free_sizes_where_the_heads_allow_it(data: Path, tmp_path: Path) -> None:
    model = save_network(alike(tiny_config(data, ('reid', 'pose'))), tmp_path / 'network.pth')
    export_graph(tmp_path / 'network.pth', tmp_path / 'g.onnx', size=SIZE, dynamic_size=True)
    session = onnxruntime.InferenceSession(str(tmp_path / 'g.onnx'))
    rgb = torch.randint(0, 256, (2, 3, 96, 64), dtype=torch.uint8)
    ours = expected(model, ['reid', 'pose'], rgb)
    for name, theirs in zip(ours, session.run(None, {'images': rgb.numpy()}), strict=True):
        assert np.abs(theirs - ours[name].numpy()).max() < 1e-4


def test_what_the_extra_brings_is_asked_for_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, 'onnxscript', None)
    with pytest.raises(ImportError, match=r"needs onnxscript.* pip install 'mmgradsplit\[onnx\]'"):
        export_graph('none.pth', tmp_path / 'g.onnx')


def test_mistakes_are_said(data: Path, tmp_path: Path) -> None:
    model = save_network(tiny_config(data, ('attribute', 'pose')), tmp_path / 'network.pth')
    file = tmp_path / 'network.pth'
    with pytest.raises(ValueError, match='attribute normalise images in different ways'):
        TaskGraph(model, ['attribute', 'pose'])
    with pytest.raises(KeyError, match=r"no task 'pos'.*did you mean 'pose'"):
        export_graph(file, tmp_path / 'g.onnx', tasks=['pos'], size=SIZE)
    with pytest.raises(ValueError, match=r'--format must be one of onnx, pt2'):
        export_graph(file, tmp_path / 'g.trt', kind='trt')
    (tmp_path / 'there.onnx').write_text('mine')
    with pytest.raises(FileExistsError, match='is there already'):
        export_graph(file, tmp_path / 'there.onnx')
    with pytest.raises(FileNotFoundError, match='no checkpoint'):
        export_graph(tmp_path / 'none.pth', tmp_path / 'g.onnx')
    save_network(two_stages(alike(tiny_config(data, ('pose',)))), tmp_path / 'two.pth')
    with pytest.raises(ValueError, match=r'MaskRCNN has no single head.*leave its task out'):
        export_graph(tmp_path / 'two.pth', tmp_path / 'g.onnx', size=SIZE)


def test_the_benchmarks_show_every_task(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / 'benchmarks'))
    demo = 'multihead/r18gn_4task_demo.py'
    options = [
        '--cfg-options',
        'tasks=[attribute,reid]',
        '--size',
        '32',
        '64',
        '--batch-sizes',
        '1',
    ]
    monkeypatch.setattr(sys, 'argv', ['graph.py', demo, '--repeats', '1', *options])
    importlib.import_module('graph').main()
    shown = capsys.readouterr().out
    for kind in ('one graph', 'attribute alone', 'reid alone', 'a graph for each task', 'eager'):
        assert kind in shown
    monkeypatch.setattr(sys, 'argv', ['exported_graphs.py', demo, '--repeats', '1'])
    importlib.import_module('exported_graphs').main()
    shown = capsys.readouterr().out
    differences = re.findall(r'(attribute|reid|pose|parsing) *│ *(\d\.\de-\d\d) ', shown)
    assert [task for task, _ in differences] == ['attribute', 'reid', 'pose', 'parsing']
    assert all(float(value) < 1e-4 for _, value in differences)
