"""Relations measured from single-task and two-task trainings, stopped and started again."""

import contextlib
import json
import multiprocessing
import os
import signal
import subprocess
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from fixtures_training import assert_same, load, quick, run, tiny_config, write_data
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmgradsplit.optim.grad_split.relations import load_changes
from mmgradsplit.registry import HOOKS
from mmgradsplit.studies import estimate_relations, train_seeds, trainings
from mmgradsplit.studies.seeds import seeds_table
from mmgradsplit.studies.training_process import run as train_folder

TASKS = ['attribute', 'parsing']
METRICS = ['attribute/MA', 'parsing/mIoU']


class Forked:
    """Stands for a Popen: a forked process has imported all that a new one would import."""

    def __init__(self, folder: Path) -> None:
        self.process = multiprocessing.get_context('fork').Process(target=self._run, args=(folder,))
        self.process.start()

    @staticmethod
    def _run(folder: Path) -> None:
        with (
            (folder / trainings.OUTPUT).open('a') as output,
            contextlib.redirect_stdout(output),
            contextlib.redirect_stderr(output),
            quick(),
        ):
            try:
                train_folder(folder)
            except Exception:
                traceback.print_exc()
                raise SystemExit(1) from None

    def poll(self) -> int | None:
        return self.process.exitcode

    def terminate(self) -> None:
        self.process.terminate()

    def wait(self) -> None:
        self.process.join()


@HOOKS.register_module(force=True)
class FailHook(Hook):
    """Fails trainings of a task as long as a file is there."""

    def __init__(self, file: str, task: str) -> None:
        self.file, self.task = Path(file), task

    def before_train(self, runner: Runner) -> None:
        if list(runner.model.tasks) == [self.task] and self.file.is_file():
            raise OSError('the disk of this task is gone')


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp('data'))


@pytest.fixture
def forked(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(training: trainings.Training, root: Path, gpu: str | None) -> Forked:
        with quick():
            training.write(root)
        return Forked(training.folder(root))

    monkeypatch.setattr(trainings, '_start', start)


def config(data: Path, **options: Any) -> Config:
    return tiny_config(data, TASKS, **options)


def estimate(cfg: Config, out: Path, **options: Any) -> dict:
    return json.loads(estimate_relations(cfg, out, metrics=METRICS, **options).read_text())


def write_results(cfg: Config, out: Path, accuracies: dict[str, tuple[float, ...]]) -> None:
    """As if the trainings had been run; alone: one value, as a pair: two."""
    for name, values in accuracies.items():
        tasks = name.split('/')[0].split('+')
        names = [metric for metric in METRICS if metric.split('/')[0] in tasks]
        metrics = dict(zip(names, values, strict=True))
        folder = out / name
        folder.mkdir(parents=True)
        (folder / 'result.json').write_text(json.dumps(dict(metrics=metrics)))


def test_the_trainings_are_those_of_single_and_multi_head_configs(
    data: Path, tmp_path: Path, forked: None
) -> None:
    cfg = config(data, optim_wrapper__relations='none', train_cfg__val_interval=1)
    found = estimate(cfg, tmp_path / 'relations')

    names = ('attribute', 'parsing', 'attribute+parsing')
    metrics = {}
    for name in names:
        folder = tmp_path / 'relations' / name / 'seed_0'
        metrics[name] = json.loads((folder / 'result.json').read_text())['metrics']
        by_hand = tiny_config(data, name.split('+'), optim_wrapper__relations='all')
        runner = run(by_hand, tmp_path / 'by_hand' / name)
        ours = load(folder / 'epoch_2.pth')['state_dict']
        assert_same(ours, load(Path(runner.work_dir, 'epoch_2.pth'))['state_dict'])
        measured = runner.val_loop.run()
        assert metrics[name] == pytest.approx({key: float(measured[key]) for key in metrics[name]})
    pair = metrics['attribute+parsing']
    alone = {**metrics['attribute'], **metrics['parsing']}
    assert found['relations'] == pytest.approx(
        {
            'attribute -> parsing': pair['parsing/mIoU'] / alone['parsing/mIoU'] - 1,
            'parsing -> attribute': pair['attribute/MA'] / alone['attribute/MA'] - 1,
        }
    )
    assert found['provenance']['seeds'] == [0]
    assert (tmp_path / 'relations/relations.png').stat().st_size > 10_000
    # What was written is what the config's relations read.
    changes = load_changes(tmp_path / 'relations/relations.json', TASKS)
    assert changes[0, 1] == found['relations']['attribute -> parsing']


def test_killed_and_started_again(data: Path, tmp_path: Path, forked: None) -> None:
    cfg, out = config(data), tmp_path / 'killed'
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, 0)
        estimate(cfg, out)
        os._exit(0)
    first, second = out / 'attribute/seed_0', out / 'parsing/seed_0'
    end = time.monotonic() + 100
    while not (second / 'epoch_1.pth').is_file() and time.monotonic() < end:
        time.sleep(0.01)
    os.killpg(pid, signal.SIGKILL)  # half-way through the second training
    os.waitpid(pid, 0)
    assert not (out / 'relations.json').exists() and not (second / 'result.json').exists()
    before = {p: p.stat().st_mtime_ns for p in first.rglob('*') if p.is_file()}
    half = (second / 'epoch_1.pth').stat().st_mtime_ns

    estimate(cfg, out)
    assert {p: p.stat().st_mtime_ns for p in first.rglob('*') if p.is_file()} == before
    assert (second / 'epoch_1.pth').stat().st_mtime_ns == half  # it went on from there
    whole = tmp_path / 'whole'
    estimate(cfg, whole)
    assert (out / 'relations.json').read_bytes() == (whole / 'relations.json').read_bytes()


def test_a_failed_training_stops_no_other(data: Path, tmp_path: Path, forked: None) -> None:
    broken = tmp_path / 'broken'
    broken.touch()
    cfg = config(data, custom_hooks=[dict(type='FailHook', file=str(broken), task='attribute')])
    cfg.train_cfg.update(max_epochs=1, iters_per_epoch=1)
    out = tmp_path / 'out'
    with pytest.raises(RuntimeError, match=r'1 of 3 trainings failed(.|\n)*the disk of this task'):
        estimate(cfg, out)
    finished = {p: p.stat().st_mtime_ns for p in out.rglob('result.json')}
    assert len(finished) == 2
    broken.unlink()
    assert set(estimate(cfg, out)['relations']) == {'attribute -> parsing', 'parsing -> attribute'}
    assert all(p.stat().st_mtime_ns == time for p, time in finished.items())


@pytest.fixture
def no_training(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def start(training: trainings.Training, root: Path, gpu: str | None) -> subprocess.Popen:
        raise AssertionError(f'{training.title} was started')

    monkeypatch.setattr(trainings, '_start', start)
    yield


def test_repeated_relations_have_a_spread(data: Path, tmp_path: Path, no_training: None) -> None:
    cfg = config(data)
    singles = {f'{t}/seed_{s}': (50.0,) for t in TASKS for s in range(3)}
    # attribute -> parsing: -10%, -12%, -14%; parsing -> attribute: -10%, 0%, +10%.
    pairs = {
        f'attribute+parsing/seed_{s}': v
        for s, v in enumerate([(45.0, 45.0), (50.0, 44.0), (55.0, 43.0)])
    }
    write_results(cfg, tmp_path, {**singles, **pairs})
    found = estimate(cfg, tmp_path, repeat=3)
    assert found['relations'] == pytest.approx(
        {'attribute -> parsing': -0.12, 'parsing -> attribute': 0.0}, abs=1e-12
    )
    assert found['spread'] == pytest.approx(
        {'attribute -> parsing': 0.02, 'parsing -> attribute': 0.1}
    )
    assert found['unsettled'] == ['parsing -> attribute']
    assert found['negative'] == ['attribute -> parsing']


def test_lower_is_better(data: Path, tmp_path: Path, no_training: None) -> None:
    cfg = config(
        data,
        val_cfg__references={
            'attribute/MA': 50.0,
            'parsing/mIoU': dict(value=2.0, lower_is_better=True),
        },
    )
    write_results(
        cfg,
        tmp_path,
        {
            'attribute/seed_0': (50.0,),
            'parsing/seed_0': (2.0,),
            'attribute+parsing/seed_0': (40.0, 3.0),
        },
    )
    found = json.loads(estimate_relations(cfg, tmp_path).read_text())
    assert found['relations'] == pytest.approx(
        {'attribute -> parsing': -0.5, 'parsing -> attribute': -0.2}
    )


@pytest.mark.parametrize(
    ('value', 'words'),
    [(0.0, 'parsing, seed 0.*other than 0'), (float('nan'), 'parsing, seed 0 diverged')],
)
def test_accuracies_without_a_relation(
    data: Path, tmp_path: Path, no_training: None, value: float, words: str
) -> None:
    write_results(
        config(data),
        tmp_path,
        {
            'attribute/seed_0': (50.0,),
            'parsing/seed_0': (value,),
            'attribute+parsing/seed_0': (50.0, 50.0),
        },
    )
    with pytest.raises(ValueError, match=words):
        estimate(config(data), tmp_path)
    assert len(list(tmp_path.rglob('result.json'))) == 3
    assert not (tmp_path / 'relations.json').exists()


def test_faults_before_any_training(data: Path, tmp_path: Path, no_training: None) -> None:
    with pytest.raises(ValueError, match=r'named once.*val_cfg\.references or by --metrics'):
        estimate_relations(config(data), tmp_path, metrics=METRICS[:1])
    with pytest.raises(ValueError, match='at least two'):
        estimate_relations(tiny_config(data, ['pose']), tmp_path, metrics=['pose/PCK'])
    with pytest.raises(ValueError, match='--repeat'):
        estimate(config(data), tmp_path, repeat=0)


def test_a_folder_of_another_config(data: Path, tmp_path: Path, no_training: None) -> None:
    results = {
        'attribute/seed_0': (50.0,),
        'parsing/seed_0': (50.0,),
        'attribute+parsing/seed_0': (50.0, 50.0),
    }
    write_results(config(data), tmp_path, results)
    estimate(config(data), tmp_path)
    before = (tmp_path / 'relations.json').read_bytes()
    with pytest.raises(ValueError, match=r'another config.*optimizer\.lr was 0\.001'):
        estimate(config(data, optim_wrapper__optimizer__lr=0.1), tmp_path)
    assert (tmp_path / 'relations.json').read_bytes() == before


def test_two_processes_in_one_folder(data: Path, tmp_path: Path, no_training: None) -> None:
    with FileLock(tmp_path / '.lock'), pytest.raises(BlockingIOError, match='another process'):
        estimate(config(data), tmp_path)


def test_a_damaged_result(data: Path, tmp_path: Path, no_training: None) -> None:
    (tmp_path / 'parsing/seed_0').mkdir(parents=True)
    (tmp_path / 'parsing/seed_0/result.json').write_text('{"metr')
    with pytest.raises(ValueError, match=r"seed_0/result\.json' is damaged.*remove the file"):
        estimate(config(data), tmp_path)


def test_seeds_of_several_configs(data: Path, tmp_path: Path) -> None:
    paths = []
    for name, relations in (('split', 'none'), ('joint', 'all')):
        cfg = tiny_config(data, ['attribute'], optim_wrapper__relations=relations)
        cfg.train_cfg.update(max_epochs=1, iters_per_epoch=1)
        paths.append(tmp_path / f'{name}.py')
        with quick():
            cfg.dump(paths[-1])
    metrics = train_seeds(paths, tmp_path / 'out', repeat=1)
    # One task: a mask has nothing to hold back. In processes of their own.
    assert metrics['split'] == metrics['joint'] and len(metrics['split']) == 1
    assert (tmp_path / 'out/split/seed_0/epoch_1.pth').is_file()
    with pytest.raises(ValueError, match='must differ'):
        train_seeds([paths[0], paths[0]], tmp_path / 'out')


def test_the_table_of_seeds_has_a_line_for_each_metric_and_run() -> None:
    """Readable with many runs: the sample standard deviation of 1 and 3 is the square root of 2."""
    table = seeds_table(
        dict(
            one=[{'seg/mIoU': 1.0}, {'seg/mIoU': 3.0}], other=[{'seg/mIoU': 5.0, 'depth/rmse': 0.5}]
        )
    )
    cells = [list(column.cells) for column in table.columns]
    assert cells[0] == ['seg/mIoU', '', 'depth/rmse']
    assert cells[1] == ['one', 'other', 'other']
    assert cells[2] == ['2.000 ± 1.414', '5.000', '0.500']
    assert cells[3] == ['2', '1', '1']
