"""Files that are whole, near names, the bare model, generators, and leaving no trace."""

import json
import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fixtures_training import build
from mmengine.hooks import Hook
from torch import nn
from toy_joint import joint_config

from mmgradsplit.utils import (
    did_you_mean,
    fingerprint,
    kept_generators,
    seed_all,
    unwrapped,
    without_trace,
    write_atomically,
    write_json,
)

# ---- files ----


def test_a_file_is_whole_when_it_appears(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / 'new' / 'file.bin'
    replace, synced = os.replace, []
    monkeypatch.setattr(os, 'fsync', lambda file: synced.append(os.fstat(file).st_size))

    def look(source: Path, target: Path) -> None:
        assert not path.exists() and source.parent == target.parent
        assert source.read_bytes() == b'content' and synced == [7]
        replace(source, target)

    monkeypatch.setattr(os, 'replace', look)
    write_atomically(path, memoryview(b'content'))
    assert path.read_bytes() == b'content'
    assert os.listdir(path.parent) == ['file.bin']


def test_a_kill_while_it_is_written_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / 'file.json'
    write_json(path, dict(number=1), sort_keys=True)
    assert path.read_text() == '{\n  "number": 1\n}\n'

    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    for name in ('fsync', 'replace'):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, die)
            with pytest.raises(KeyboardInterrupt):
                write_json(str(path), dict(number=2))
        assert json.loads(path.read_text()) == dict(number=1)
    write_json(path, dict(number=3))  # over what the kill has left
    assert json.loads(path.read_text()) == dict(number=3)
    assert os.listdir(tmp_path) == ['file.json']


# ---- names ----

KNOWN = ['AMTLWeighting', 'UniformWeighting', 'torchjd.FAMO', 'torchjd.PCGrad', 'gradsplit_sum']


@pytest.mark.parametrize(
    ('name', 'meant'),
    [
        ('pcgrad', 'torchjd.PCGrad'),
        ('torchjd.PCGrade', 'torchjd.PCGrad'),
        ('Uniform', 'UniformWeighting'),
        ('amtl', 'AMTLWeighting'),
        ('gradsplitsum', 'gradsplit_sum'),
        ('FAMOWeighting', 'torchjd.FAMO'),
    ],
)
def test_the_nearest_name(name: str, meant: str) -> None:
    assert did_you_mean(name, KNOWN) == f"; did you mean '{meant}'?"


def test_no_name_is_near() -> None:
    assert did_you_mean('xyz', KNOWN) == did_you_mean('xyz', []) == ''


# ---- models and generators ----


def test_the_model_inside_its_wrapper() -> None:
    model = nn.Linear(1, 1)
    assert unwrapped(model) is model
    assert unwrapped(nn.DataParallel(model)) is model


def test_a_fingerprint_tells_weights_apart() -> None:
    model, other = (nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2)) for _ in range(2))
    assert fingerprint(model) != fingerprint(other)
    other.load_state_dict(model.state_dict())
    assert fingerprint(model) == fingerprint(nn.DataParallel(other))
    other[1].running_mean[0] += 2**-30
    assert fingerprint(model) != fingerprint(other)
    flat, square = nn.Linear(1, 4, bias=False), nn.Linear(2, 2, bias=False)
    square.weight.data.copy_(flat.weight.data.view(2, 2))
    assert fingerprint(flat) != fingerprint(square)


def draw() -> tuple[float, ...]:
    return random.random(), float(np.random.rand()), float(torch.rand(()))


def test_generators() -> None:
    seed_all(3)
    first, second = draw(), draw()
    seed_all(3)
    with kept_generators():
        assert draw() == first
        seed_all(4)
        assert draw() != second
    assert draw() == first
    assert draw() == second


class NoteHook(Hook):
    """Notes when it is called."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def before_val(self, runner: Any) -> None:
        self.calls.append('before_val')


@pytest.mark.parametrize('fails', [False, True])
def test_a_run_without_a_trace(fails: bool, tmp_path: Path) -> None:
    runner = build(joint_config(tmp_path), tmp_path)
    note = NoteHook()
    runner.register_hook(note)
    hooks = list(runner.hooks)
    runner.model.train()
    seed_all(5)
    expected = draw()
    seed_all(5)
    try:
        with without_trace(runner):
            runner.call_hook('before_val')
            runner.model.eval()
            draw()
            if fails:
                raise FloatingPointError
    except FloatingPointError:
        assert fails
    assert draw() == expected
    assert runner.model.training and note.calls == []
    assert len(runner.hooks) == len(hooks)
    assert all(one is other for one, other in zip(runner.hooks, hooks, strict=True))
    runner.call_hook('before_val')
    assert note.calls == ['before_val']
