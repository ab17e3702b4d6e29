"""What a GPU would wait for in an iteration, counted on a device that is none."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope='module')
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    folder = str(tmp_path_factory.mktemp('fake'))
    command = [sys.executable, str(ROOT / 'tests/fake_training.py'), folder]
    path = os.pathsep.join(str(ROOT / each) for each in ('', 'tests', 'benchmarks'))
    environment = dict(os.environ, PYTHONPATH=path)
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert result.returncode == 0, result.stderr[-4000:]
    return json.loads(result.stdout.strip().splitlines()[-1])


@pytest.mark.parametrize('kind', ['round_robin', 'workers', 'joint'])
def test_a_device_trains_what_the_cpu_trains_bit_for_bit(found: dict, kind: str) -> None:
    assert found[kind]['same']
    assert set(found[kind]['steps']) == {3}


@pytest.mark.parametrize(('kind', 'batches'), [('round_robin', 4), ('workers', 4), ('joint', 1)])
def test_a_batch_travels_once(found: dict, kind: str, batches: int) -> None:
    assert found[kind]['copies'].pop('to the device') == batches


def test_a_validation_has_the_same_metrics_and_sends_a_batch_once(found: dict) -> None:
    validation = found['validation']
    assert validation['same'] and len(validation['metrics']) > 4
    # Batches of 5: of 16 pictures for re-identification, 12 for the others; and mmpose sends the
    # order of the mirrored keypoints with each batch.
    assert validation['copies']['to the device'] == (4 + 3 + 3 + 3) + 3


def test_waits_are_few_whatever_the_batch_size(found: dict) -> None:
    waits = found['round_robin']['waits']
    assert sum(waits.values()) <= 4, waits
    assert sum('step_logs' in place for place in waits) == 1
    assert waits == found['workers']['waits']  # half the batch size
    assert sum(found['joint']['waits'].values()) <= 5, found['joint']['waits']
