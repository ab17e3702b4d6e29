"""Many trainings, each in a process of its own."""

import os
from pathlib import Path

import pytest
from fixtures_training import quick
from rich.console import Console
from toy_joint import joint_config

from mmgradsplit.studies.forked_training import ForkedTraining
from mmgradsplit.studies.trainings import Training, raise_failed, run_trainings, try_trainings


def test_what_fails_is_said_by_its_own_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The toy's modules are registered in this process, and in no other."""
    monkeypatch.chdir(tmp_path)
    root = Path('out')
    trainings = [Training('toy', seed, joint_config(tmp_path)) for seed in range(2)]
    console = Console(quiet=True)
    with quick():
        failed = try_trainings(trainings, root, console=console)
    assert list(failed) == trainings
    assert all('ToyTask is not in the' in text for text in failed.values())
    assert 'Traceback' in (tmp_path / 'out/toy/seed_1/output.txt').read_text()
    with quick(), pytest.raises(RuntimeError, match=r'2 of 2 trainings failed(.|\n)*toy, seed 1'):
        run_trainings(trainings, root, console=console)
    raise_failed({}, 2, root)


def test_a_training_is_ended(tmp_path: Path) -> None:
    """It waits for a file of its folder that is never written."""
    os.mkfifo(tmp_path / 'config.py')
    process = ForkedTraining(tmp_path, tmp_path / 'output.txt')
    assert process.poll() is None
    process.terminate()
    process.wait()
    assert process.poll() == -15
