"""Processes of trainings that spare the tests seconds of imports each, or the training itself."""

import contextlib
import multiprocessing
import os
import traceback
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fixtures_training import quick, write_data
from mmengine.config import Config
from torch import nn

from mmgradsplit.studies import study, training_process, trainings


def run_process(folder: Path, output: Any) -> int:
    """What ``python -m mmgradsplit.studies.training_process FOLDER`` does; the exit code."""
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output), quick():
        try:
            training_process.run(folder)
        except Exception:
            traceback.print_exc()
            return 1
    return 0


class Inside:
    """A Popen that has run its training in this process; ``started`` has their folders."""

    started: list[str]

    def __init__(self, command: list[str], stdout: Any, **options: Any) -> None:
        folder = Path(command[-1])
        self.started.append(f'{folder.parent.name}/{folder.name}')
        # mmengine keeps message hubs by the run's name, which is the second it began at.
        with (folder / 'config.py').open('a') as config:
            config.write(f'\nexperiment_name = {str(folder)!r}\n')
        self.code = run_process(folder, stdout)

    def poll(self) -> int:
        return self.code


class Forked:
    """A Popen whose process has imported everything already."""

    def __init__(self, command: list[str], stdout: Any, **options: Any) -> None:
        fork = multiprocessing.get_context('fork')
        self.process = fork.Process(target=self._run, args=(Path(command[-1]), stdout))
        self.process.start()

    @staticmethod
    def _run(folder: Path, output: Any) -> None:
        code = run_process(folder, output)
        output.flush()
        os._exit(code)

    def poll(self) -> int | None:
        return self.process.exitcode

    def terminate(self) -> None:
        self.process.terminate()

    def wait(self) -> None:
        self.process.join()


@pytest.fixture(scope='session')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp('data'))


@pytest.fixture
def popen(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Sets what stands for Popen."""

    def use(double: Any) -> None:
        monkeypatch.setattr(trainings, 'subprocess', SimpleNamespace(Popen=double, STDOUT=None))
        monkeypatch.setattr(study, 'POLL_SECONDS', 0.01)

    return use


@pytest.fixture
def inside(popen: Callable) -> list[str]:
    """Trainings run in this process; those that were started, as ``name/seed_0``."""
    Inside.started = []
    popen(Inside)
    return Inside.started


@pytest.fixture
def forked(popen: Callable) -> None:
    """Trainings run in forked processes."""
    popen(Forked)


@pytest.fixture
def made(inside: list[str], monkeypatch: pytest.MonkeyPatch) -> Callable[[dict], list[str]]:
    """Sets what trainings measure: metrics, or the exception that ends them; of each seed, a list.

    Their networks have one weight, by default a different one each. Returns what was started.
    """

    def of(results: dict[str, Any], **weights: list[float]) -> list[str]:
        def train(config: Path, work_dir: Path, resume: str) -> Any:
            seed = Config.fromfile(config).randomness.seed
            found = results[work_dir.parent.name]
            found = found[seed] if isinstance(found, list) else found
            if isinstance(found, Exception):
                raise found
            loop = SimpleNamespace(metrics=(1, found))
            model = nn.Linear(1, 1, bias=False)
            number = weights[work_dir.parent.name][seed] if weights else len(inside)
            nn.init.constant_(model.weight, number)
            return SimpleNamespace(train_loop=loop, iter=1, seed=seed, model=model, cfg={})

        monkeypatch.setattr(training_process, 'train', train)
        return inside

    return of
