"""An ONNX file says of pictures what the network says."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fixtures_dense import dense_config
from fixtures_export import alike, save_network, small, with_norms_by_task, write_all_data
from fixtures_training import tiny_config
from mmengine.config import Config

from mmgradsplit.export import export_graph
from mmgradsplit.inference import MultiTaskInferencer, predict_to_folder

onnxruntime = pytest.importorskip('onnxruntime', reason='onnxruntime is not installed')

SIZE = (64, 64)


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_all_data(tmp_path_factory.mktemp('data'))


def config(case: str, data: Path) -> Config:
    if case == 'dense':
        return dense_config('ft_r18_scenes', data / 'nyud', data / 'work')
    if case == 'norms by task':
        return with_norms_by_task(alike(tiny_config(data, ('reid', 'pose'))))
    return small(alike(tiny_config(data, ('attribute', 'pose', 'parsing'))))


def pictures() -> list[np.ndarray]:
    """As large as the input, wider, and taller."""
    rng = np.random.default_rng(0)
    shapes = [(64, 64), (40, 90), (150, 70)]
    return [rng.integers(0, 256, (*shape, 3), dtype=np.uint8) for shape in shapes]


def same(one: Any, other: Any) -> None:
    """Two typed results: numbers to 1e-4 of the largest, labels but for ties."""
    assert type(one) is type(other)
    for field in dataclasses.fields(one):
        ours, theirs = getattr(one, field.name), getattr(other, field.name)
        if isinstance(ours, np.ndarray) and ours.dtype.kind == 'f':
            scale = max(1.0, np.abs(ours).max(initial=0))
            np.testing.assert_allclose(theirs, ours, atol=1e-4 * scale, rtol=0)
        elif isinstance(ours, np.ndarray):
            assert ours.shape == theirs.shape
            assert np.count_nonzero(ours != theirs) <= 1e-3 * ours.size
        else:
            assert ours == theirs


@pytest.mark.parametrize('case', ['three tasks and a detector', 'norms by task', 'dense'])
def test_the_graph_says_what_the_network_says(data: Path, tmp_path: Path, case: str) -> None:
    from mmgradsplit.inference.onnx import OnnxInferencer

    save_network(config(case, data), tmp_path / 'network.pth')
    export_graph(tmp_path / 'network.pth', tmp_path / 'g.onnx', size=SIZE)
    network = MultiTaskInferencer(None, tmp_path / 'network.pth', 'cpu')
    graph = OnnxInferencer(tmp_path / 'g.onnx')
    ours = network(pictures(), size=SIZE, batch_size=2)
    theirs = graph(pictures(), batch_size=3)
    assert len(ours) == len(theirs) == 3
    for one, other in zip(ours, theirs, strict=True):
        assert one.size == other.size and list(one.tasks) == list(other.tasks) != []
        for task in one.tasks:
            same(one.tasks[task], other.tasks[task])
    with pytest.raises(ValueError, match=r'takes images of 64x64, got 32x64.*--dynamic-size'):
        graph(pictures(), size=(32, 64))
    with pytest.raises(KeyError, match=r"no task 'nose' in this network"):
        graph(pictures(), tasks=['nose'])
    with pytest.raises(ValueError, match="passes must be 'shared'"):
        graph(pictures(), passes='own')


def test_a_graph_whose_size_the_inferencer_does_not_take_is_said(
    data: Path, tmp_path: Path
) -> None:
    """The detector's preprocessor pads to multiples of 32, so that the graph gets another size."""
    from mmgradsplit.inference.onnx import OnnxInferencer

    save_network(small(alike(tiny_config(data, ('pose',)))), tmp_path / 'network.pth')
    export_graph(tmp_path / 'network.pth', tmp_path / 'g.onnx', size=(80, 64), tasks=['pose'])
    with pytest.raises(ValueError, match=r'takes images of 80x64, got 96x64; export it with this'):
        OnnxInferencer(tmp_path / 'g.onnx')(pictures())


def test_predict_takes_a_graph_and_says_what_is_none(data: Path, tmp_path: Path) -> None:
    save_network(alike(tiny_config(data, ('reid', 'pose'))), tmp_path / 'network.pth')
    graph, pose = tmp_path / 'g.onnx', tmp_path / 'pose.onnx'
    export_graph(tmp_path / 'network.pth', graph, size=SIZE)
    export_graph(tmp_path / 'network.pth', pose, size=SIZE, tasks=['pose'])
    (file,) = predict_to_folder(None, graph, pictures(), tmp_path / 'out', formats=['json'])
    assert len(Path(file).read_text().splitlines()) == 3
    (file,) = predict_to_folder(None, pose, pictures(), tmp_path / 'one', formats=['json'])
    assert '"pose"' in Path(file).read_text() and '"reid"' not in Path(file).read_text()
    with pytest.raises(KeyError, match=r"no task 'reid' in this network, which has \['pose'\]"):
        predict_to_folder(None, pose, pictures(), tmp_path / 'other', tasks=['reid'])
    with pytest.raises(ValueError, match="give '-' for the config"):
        predict_to_folder('mine.py', graph, pictures(), tmp_path / 'other')
    (tmp_path / 'text.onnx').write_text('no graph')
    with pytest.raises(ValueError, match=r"text\.onnx' is no ONNX file that can be run"):
        predict_to_folder(None, tmp_path / 'text.onnx', pictures(), tmp_path / 'other')
    with pytest.raises(FileNotFoundError, match='no ONNX file'):
        predict_to_folder(None, tmp_path / 'none.onnx', pictures(), tmp_path / 'other')
