"""The tool for gradient angles: what it writes, and what it refuses."""

import json
import runpy
import sys
from pathlib import Path

import pytest
from rich.console import Console
from toy_joint import TASKS, joint_config

from mmgradsplit.analysis import gradient_angles

ROOT = Path(__file__).resolve().parents[2]


def test_the_tool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cfg = joint_config(tmp_path)
    cfg.dump(tmp_path / 'config.py')

    def call(out: str, *arguments: object) -> dict:
        words = ['tool', tmp_path / 'config.py', '--out', tmp_path / out, '--device', 'cpu']
        monkeypatch.setattr(sys, 'argv', [str(word) for word in (*words, *arguments)])
        runpy.run_path(str(ROOT / 'tools/analysis_tools/gradient_angles.py'), run_name='__main__')
        return json.loads((tmp_path / out / 'angles.json').read_text())

    first = call('a', '--batches', 5, '--samples', 3, '--modules', 'conv', 'backbone')
    assert list(first['allocators']) == ['FullTask', 'STA', 'ISTA']
    assert first['modules'] == ['conv', 'backbone']
    assert (first['config'], first['checkpoint'], first['seed']) == ('config.py', None, 0)
    assert (first['samples'], first['batches'], first['tasks']) == (3, 5, list(TASKS))
    of = first['allocators']['ISTA']['conv']
    assert list(of['tasks']) == ['add-first', 'add-norm', 'first-norm']
    assert len(of['tasks']['add-norm']['angles']) == 15
    assert (of['steps']['within']['count'], of['steps']['across']['count']) == (10, 4)
    assert (tmp_path / 'a/angles.png').stat().st_size > 1000
    words = capsys.readouterr().out
    assert 'add-norm' in words and 'steps within iterations' in words and 'angles.png' in words
    assert call('b', '--batches', 5, '--samples', 3, '--modules', 'conv', 'backbone') == first
    other = call('c', '--batches', 5, '--seed', 1, '--allocators', 'STA:2')
    assert (other['seed'], other['samples'], list(other['allocators'])) == (1, 4, ['STA:2'])


@pytest.mark.parametrize(
    ('options', 'error', 'words'),
    [
        (dict(batches=0), ValueError, '--batches must be at least 1'),
        (dict(samples=20), ValueError, 'fewer than a batch of 20'),
        (dict(modules=['layer4']), ValueError, "--modules: 'layer4'"),
        (dict(allocators=['Some']), ValueError, "--allocators: there is no allocator 'Some'"),
        (dict(checkpoint='none.pth'), FileNotFoundError, "no checkpoint 'none.pth'"),
        (
            dict(cfg_options={'train_cfg.annotations': dict(add='gt_add')}),
            ValueError,
            'train_cfg.annotations must name a field for each',
        ),
    ],
)
def test_what_the_tool_refuses(
    tmp_path: Path, options: dict, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        gradient_angles(
            joint_config(tmp_path), out=tmp_path / 'out', console=Console(quiet=True), **options
        )
    assert not (tmp_path / 'out').exists()
