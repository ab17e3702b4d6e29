"""All tasks as one graph: the network's own numbers, whoever runs it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fixtures_dense import dense_config, write_nyud
from fixtures_export import alike, save_network, small, task_specific_layer4, with_norms_by_task
from fixtures_training import tiny_config, write_data
from mmengine.config import Config

from mmgradsplit.export import TaskGraph, export_graph
from mmgradsplit.utils.safetensors_files import from_text

onnx = pytest.importorskip('onnx', reason='onnx is not installed (extra "onnx")')
onnxruntime = pytest.importorskip('onnxruntime', reason='onnxruntime is not installed')

SIZE = (64, 64)


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_data(tmp_path_factory.mktemp('data'))
    write_nyud(root / 'nyud')
    return root


def configs(data: Path, work: Path) -> dict[str, Config]:
    return {
        'four': alike(tiny_config(data)),
        'norms by task': with_norms_by_task(alike(tiny_config(data, ('reid', 'pose')))),
        'own layer4': task_specific_layer4(alike(tiny_config(data, ('pose', 'parsing')))),
        'detector': small(alike(tiny_config(data, ('pose',)))),
        'dense': dense_config('ft_r18_scenes', data / 'nyud', work),
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
        name = dict(pose='heatmaps', depth='values', detection='outputs').get(task, 'logits')
        outputs.update(flat(f'{task}/{name}', made))
    return outputs


def flat(name: str, made: Any) -> dict[str, torch.Tensor]:
    if isinstance(made, torch.Tensor):
        return {name: made}
    return {
        key: each for i, part in enumerate(made) for key, each in flat(f'{name}_{i}', part).items()
    }


@pytest.mark.parametrize('case', ['four', 'norms by task', 'own layer4', 'detector', 'dense'])
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


def test_torch_export_is_exact(data: Path, tmp_path: Path) -> None:
    model = save_network(alike(tiny_config(data)), tmp_path / 'network.pth')
    exported = export_graph(
        tmp_path / 'network.pth', tmp_path / 'g.pt2', kind='pt2', size=SIZE, tasks=['pose', 'reid'],
        normalised=True,
    )  # fmt: skip
    assert list(exported.outputs) == ['pose/heatmaps', 'reid/embedding']
    program = torch.export.load(tmp_path / 'g.pt2').module()
    images = torch.randn(5, 3, *SIZE)
    heatmaps, embedding = program(images)
    with torch.no_grad():
        assert torch.equal(heatmaps, model(images, task='pose', mode='tensor'))
        features = model.backbone_pass(images, 'reid')
        assert torch.equal(embedding, model.tasks['reid'].head.pre_logits(features))


def test_free_sizes_where_the_heads_allow_it(data: Path, tmp_path: Path) -> None:
    model = save_network(alike(tiny_config(data, ('reid', 'pose'))), tmp_path / 'network.pth')
    export_graph(tmp_path / 'network.pth', tmp_path / 'g.onnx', size=SIZE, dynamic_size=True)
    session = onnxruntime.InferenceSession(str(tmp_path / 'g.onnx'))
    rgb = torch.randint(0, 256, (2, 3, 96, 64), dtype=torch.uint8)
    ours = expected(model, ['reid', 'pose'], rgb)
    for name, theirs in zip(ours, session.run(None, {'images': rgb.numpy()}), strict=True):
        assert np.abs(theirs - ours[name].numpy()).max() < 1e-4


def test_mistakes_are_said(data: Path, tmp_path: Path) -> None:
    model = save_network(tiny_config(data, ('attribute', 'pose')), tmp_path / 'network.pth')
    file = tmp_path / 'network.pth'
    with pytest.raises(ValueError, match='attribute normalise images in different ways'):
        TaskGraph(model, ['attribute', 'pose'])
    with pytest.raises(ValueError, match=r"no task 'pos'.*did you mean 'pose'"):
        export_graph(file, tmp_path / 'g.onnx', tasks=['pos'], size=SIZE)
    with pytest.raises(ValueError, match=r'--format must be one of onnx, pt2'):
        export_graph(file, tmp_path / 'g.trt', kind='trt')
    (tmp_path / 'there.onnx').write_text('mine')
    with pytest.raises(FileExistsError, match='is there already'):
        export_graph(file, tmp_path / 'there.onnx')
    with pytest.raises(FileNotFoundError, match='no checkpoint'):
        export_graph(tmp_path / 'none.pth', tmp_path / 'g.onnx')
