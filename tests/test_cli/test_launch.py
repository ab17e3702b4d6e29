"""Several processes: how they are started, what is said of one that fails, and Ctrl-C."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fixtures_ranks import on_two_ranks
from fixtures_training import in_child, load
from mmengine.hooks import Hook
from mmengine.runner import Runner
from toy_run import CONFIG, ToyData, write_config

from mmgradsplit.cli import main
from mmgradsplit.cli.errors import one_sentence
from mmgradsplit.cli.launch import launch, meeting_point
from mmgradsplit.registry import DATASETS, HOOKS

ROOT = Path(__file__).resolve().parents[2]

# ---- torchrun ----


def said_by(folder: Path, name: str, function: Callable[[], Any]) -> tuple[Any, str]:
    """Exit code of this process after a call, and what was written on standard error."""
    file = folder / f'{name}.err'
    with file.open('w') as errors:
        os.dup2(errors.fileno(), 2)
    sys.stderr = os.fdopen(2, 'w', buffering=1, closefd=False)
    code = None
    try:
        function()
    except SystemExit as ended:
        code = ended.code
    sys.stderr.flush()
    return code, file.read_text()


RECORDED = """
message = dict(message='RuntimeError: ValueError: no [file]', extraInfo=dict(timestamp=9))
with open(os.environ['TORCHELASTIC_ERROR_FILE'], 'w') as file:
    json.dump(dict(message=message), file)
sys.exit(3)
"""
# What rank 1 does, the exit code, and what is said of it.
FAILURES = {
    'an error': (RECORDED, 3, 'ValueError: no [file]'),
    'a kill': (
        'os.kill(os.getpid(), 9)',
        1,
        'it was killed by SIGKILL, as the system does where memory is short',
    ),
    'an exit': ('sys.exit(4)', 4, 'exit code 4; what it said is above'),
}


@pytest.mark.parametrize('kind', FAILURES)
def test_the_rank_that_failed_is_named(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    what, code, text = FAILURES[kind]
    for name in ('NNODES', 'PORT'):
        monkeypatch.delenv(name, raising=False)
    script = tmp_path / 'script.py'
    wait = "if os.environ['RANK'] == '0': time.sleep(30)"
    script.write_text(f'import json, os, sys, time\n{wait}\n{what}\n')

    def fails() -> None:
        said = said_by(tmp_path, 'launch', lambda: launch('2', str(script), []))
        assert said == (code, f'error: rank 1 failed: {text}\n')

    assert in_child(fails, timeout=50) == 0


def test_where_processes_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    """At a free port, unless a port is given, or there are several machines."""
    for name in ('NODE_RANK', 'MASTER_ADDR'):
        monkeypatch.delenv(name, raising=False)
    assert meeting_point('1', None)[0] == '--standalone'
    here = ['--nnodes=1', '--node-rank=0', '--master-addr=127.0.0.1', '--master-port=1234']
    assert meeting_point('1', '1234') == here
    monkeypatch.setenv('NODE_RANK', '1')
    monkeypatch.setenv('MASTER_ADDR', 'node0')
    there = ['--nnodes=2', '--node-rank=1', '--master-addr=node0', '--master-port=29500']
    assert meeting_point('2', None) == there


def test_a_number_of_processes_is_a_number() -> None:
    with pytest.raises(SystemExit, match=r"PROCESSES is the number of processes.*'two'"):
        launch('two', 'script.py', [])


WAITING = """
import os, pathlib, sys, time
folder, name = pathlib.Path(sys.argv[0]).parent, sys.argv[1]
(folder / f'{name}.{os.environ["RANK"]}').write_text(os.environ['MASTER_PORT'])
while len(list(folder.glob('*.[01]'))) < 4:  # those of the other job, too
    time.sleep(0.1)
"""


def test_two_jobs_on_one_machine(tmp_path: Path) -> None:
    for name in ('train', 'test'):
        shutil.copy(ROOT / f'tools/dist_{name}.sh', tmp_path)
        (tmp_path / f'{name}.py').write_text(WAITING)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ['PATH']])
    env = {key: value for key, value in os.environ.items() if key not in ('PORT', 'NNODES')}
    env |= dict(PATH=path, PYTHONPATH=str(ROOT), OMP_NUM_THREADS='1')
    jobs = [
        subprocess.Popen(['bash', tmp_path / script, *arguments, '2'], env=env)
        for script, arguments in (('dist_train.sh', ['a']), ('dist_test.sh', ['b', 'c']))
    ]
    assert [job.wait(timeout=50) for job in jobs] == [0, 0]
    ports = [{(tmp_path / f'{name}.{rank}').read_text() for rank in (0, 1)} for name in 'ab']
    assert [len(of) for of in ports] == [1, 1] and ports[0] != ports[1]


def test_slurm_jobs_have_ports_of_their_own(tmp_path: Path) -> None:
    (tmp_path / 'srun').write_text('#!/bin/sh\necho $MASTER_PORT $*')
    (tmp_path / 'srun').chmod(0o755)
    env = dict(os.environ, PATH=os.pathsep.join([str(tmp_path), os.environ['PATH']]))
    env.pop('MASTER_PORT', None)
    command = ['bash', ROOT / 'tools/slurm_train.sh', 'partition', 'name', 'config.py', 'work']

    def called(**more: str) -> list[str]:
        return subprocess.run(
            command, env=env | more, capture_output=True, text=True
        ).stdout.split()

    ports = [int(called()[0]) for _ in range(3)]
    assert len({*ports}) > 1 and all(20000 <= port < 30000 for port in ports)
    assert called(MASTER_PORT='12345')[0] == '12345'
    assert called()[-2:] == ['--launcher', 'slurm']


# ---- what the ranks say ----


@DATASETS.register_module(force=True)
class BrokenOnRankOne(ToyData):
    """Its third sample cannot be read on rank 1."""

    def __getitem__(self, index: int) -> Any:
        if index == 3 and os.environ['RANK'] == '1':
            raise ValueError("the file 'a.jpg' is broken")
        return super().__getitem__(index)


@HOOKS.register_module(force=True)
class CtrlCHook(Hook):
    """A user presses Ctrl-C in iteration ``iteration``, or while a checkpoint is being written."""

    def __init__(self, iteration: int = -1, number: int = -1) -> None:
        self.iteration, self.left = iteration, number

    def before_run(self, runner: Runner) -> None:
        def interrupt(file: int) -> None:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGINT)

        os.fsync = interrupt

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        if runner.iter == self.iteration:
            threading.Timer(0.01, os.kill, (os.getpid(), signal.SIGINT)).start()
            time.sleep(60)  # or a quick run would end first


def in_two_ranks(folder: Path, config: Path, *options: str) -> list[list]:
    """Exit code and standard error of each of two processes that train."""
    run = ('train', str(config), '--work-dir', str(folder / 'run'), '--launcher', 'pytorch')

    def train(rank: int, folder: Path) -> None:
        os.environ['TORCHELASTIC_ERROR_FILE'] = str(folder / f'{rank}.json')
        found = said_by(folder, str(rank), lambda: main([*run, *options]))
        (folder / f'{rank}.txt').write_text(json.dumps(found))
        os._exit(0)  # what is left of the exchange is not waited for

    on_two_ranks(train, folder, timeout=50)
    return [json.loads((folder / f'{rank}.txt').read_text()) for rank in (0, 1)]


def test_a_rank_says_which_one_it_is(tmp_path: Path) -> None:
    config = tmp_path / 'toy.py'
    text = CONFIG.format(epochs=2, batch_size=1).replace("'ToyData'", "'BrokenOnRankOne'")
    config.write_text(text)
    codes, texts = zip(*in_two_ranks(tmp_path, config), strict=True)
    assert codes == (1, 1)
    assert texts[1].startswith("error (rank 1): the file 'a.jpg' is broken\n(")
    assert texts[0].startswith('rank 0 ends, as another process has ended (the traceback is in ')
    assert texts[0].count('\n') == 1
    recorded = json.loads((tmp_path / '1.json').read_text())['message']['message']
    assert recorded == "RuntimeError: ValueError: the file 'a.jpg' is broken"
    assert not (tmp_path / '0.json').exists()


def test_another_error_of_a_rank_is_recorded_and_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / 'error.json'
    for name, value in dict(RANK=1, WORLD_SIZE=2, TORCHELASTIC_ERROR_FILE=file).items():
        monkeypatch.setenv(name, str(value))
    with pytest.raises(torch.OutOfMemoryError), one_sentence():
        raise torch.OutOfMemoryError('no memory')
    assert 'OutOfMemoryError: no memory' in json.loads(file.read_text())['message']['message']


# ---- Ctrl-C ----

STOPPED = '\nStopped. --resume goes on from the newest checkpoint.\n'
HOOKED = "custom_hooks = [dict(type='CtrlCHook', {})]\n"


def interrupted(folder: Path, when: str) -> Path:
    text = CONFIG.format(epochs=4, batch_size=2).replace('CheckpointHook', 'AtomicCheckpointHook')
    config = folder / 'interrupted.py'
    config.write_text(text + HOOKED.format(when))
    return config


@pytest.fixture(scope='module')
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The weights of a run of four epochs that nobody interrupts."""
    folder = tmp_path_factory.mktemp('whole')
    arguments = ('train', str(write_config(folder, epochs=4)), '--work-dir', str(folder / 'run'))
    assert in_child(lambda: main(arguments)) == 0
    return load(folder / 'run/epoch_4.pth')['state_dict']


def assert_resumes(folder: Path, whole: dict[str, Any]) -> None:
    config = write_config(folder, epochs=4)
    arguments = ('train', str(config), '--work-dir', str(folder / 'run'), '--resume')
    assert in_child(lambda: main(arguments)) == 0
    weights = load(folder / 'run/epoch_4.pth')['state_dict']
    assert all(torch.equal(weights[key], value) for key, value in whole.items())


@pytest.mark.parametrize('when', ['iteration=9', 'number=3'])
def test_one_line_and_a_run_that_goes_on(when: str, tmp_path: Path, whole: dict) -> None:
    arguments = ('train', str(interrupted(tmp_path, when)), '--work-dir', str(tmp_path / 'run'))

    def stopped() -> None:
        assert said_by(tmp_path, 'one', lambda: main(arguments)) == (130, STOPPED)

    assert in_child(stopped) == 0
    assert (tmp_path / 'run/epoch_2.pth').is_file()
    assert not (tmp_path / 'run/epoch_4.pth').exists()
    assert_resumes(tmp_path, whole)


def test_one_line_of_two_processes(tmp_path: Path) -> None:
    found = in_two_ranks(tmp_path, interrupted(tmp_path, 'iteration=5'))
    assert found == [[130, STOPPED], [130, '']]
    assert (tmp_path / 'run/epoch_2.pth').is_file()
    config = write_config(tmp_path, epochs=4)
    assert [code for code, _ in in_two_ranks(tmp_path, config, '--resume')] == [None, None]
    in_two_ranks(tmp_path / 'whole', config)
    resumed, whole = (
        load(folder / 'run/epoch_4.pth')['state_dict'] for folder in (tmp_path, tmp_path / 'whole')
    )
    assert all(torch.equal(resumed[key], value) for key, value in whole.items())
