"""The benchmarks of training on a GPU, tried on tiny data without one."""

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fixtures_dense import ROOT
from fixtures_training import tiny_config, write_data


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Imports a script of ``benchmarks``."""
    monkeypatch.syspath_prepend(str(ROOT / 'benchmarks'))
    return importlib.import_module


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / 'config.py'
    cfg = tiny_config(write_data(tmp_path / 'data', 6), batch_size=2, num_workers=1)
    cfg.dump(path)
    return path


def rows(
    benchmark: Callable[[str], Any], name: str, out: Path, patch: pytest.MonkeyPatch, *options: str
) -> dict[str, Any]:
    patch.setattr(sys, 'argv', [f'{name}.py', *options, '--out', str(out)])
    benchmark(name).main()
    return json.loads(out.read_text())


def test_loading(
    benchmark: Callable[[str], Any], config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ['--sizes', 'pose=128x96', '--samples', '2', '--repeats', '1']
    options += ['--batch-size', '10', '--iteration-seconds', '0.5']
    found = rows(benchmark, 'loading', tmp_path / 'out.json', monkeypatch, str(config), *options)
    assert set(found['rows']) == {'attribute', 'reid', 'pose', 'parsing'}
    pose = found['rows']['pose']
    assert (pose['size'], found['rows']['reid']['size']) == ('128x96', '32x32')
    assert {'LoadImage', 'TopdownAffine', 'the rest'} < set(pose['transforms'])
    assert sum(pose['transforms'].values()) == pytest.approx(pose['milliseconds'])
    assert pose['wanted'] == 20 and pose['workers'] == int(np.ceil(20 / pose['rate']))


def test_enlarged_pictures_keep_their_coordinates(
    benchmark: Callable[[str], Any], tmp_path: Path
) -> None:
    cv2 = pytest.importorskip('cv2')
    path = tmp_path / 'small.png'
    assert cv2.imwrite(str(path), np.zeros((10, 20, 3), np.uint8))
    folder = tmp_path / 'large'
    folder.mkdir()
    points = np.array([[[10.0, 5.0]]])
    given = dict(img_path=str(path), keypoints=points, bbox=np.array([[2.0, 1.0, 4.0, 3.0]]))
    found = benchmark('loading').enlarged(given, (200, 50), folder)
    assert cv2.imread(found['img_path']).shape == (50, 200, 3)
    assert found['keypoints'].tolist() == [[[100.0, 25.0]]]
    assert found['bbox'].tolist() == [[20.0, 5.0, 40.0, 15.0]]


def test_a_major_iteration_and_end_to_end(
    benchmark: Callable[[str], Any], config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ['--device', 'cpu', '--tiny', '--config', str(config), '--parts', '1', '2']
    options += ['--repeats', '1', '--iterations', '2', '--batch-size', '4', '--kinds']
    options += ['bare, our transfer', 'multi-head', '+ channels last']
    found = rows(benchmark, 'gpu', tmp_path / 'out.json', monkeypatch, *options)
    measured = found['major iteration']
    assert list(measured) == options[-3:]
    for row in measured.values():
        assert row['seconds'] > 0 and row['mib'] > 0 and row['to multi-head'] > 0
    end = found['end to end']
    assert end['images_per_second'] == pytest.approx(16 / end['seconds'])
    assert 0 <= end['share_waiting'] < 1
