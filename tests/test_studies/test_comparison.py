"""Methods compared by trainings over seeds: single-task networks first, each training once."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from fixtures_training import named, quick, scalars, tiny_config, write_data
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from rich.console import Console
from toy_weighting import config as toy_config

from mmgradsplit.apis.methods import use_method
from mmgradsplit.apis.preparation import prepare
from mmgradsplit.registry import HOOKS
from mmgradsplit.studies import compare_methods, trainings
from mmgradsplit.studies.training_process import run as train_folder
from mmgradsplit.studies.trainings import Training

TASKS = ['attribute', 'parsing']
METRICS = ['attribute/MA', 'parsing/mIoU']


class Ended:
    """Stands for a Popen of a training that was run in this process."""

    def poll(self) -> int:
        return 0

    def terminate(self) -> None:
        pass

    wait = terminate


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp('data'))


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Trainings run in this process; their titles."""
    titles: list[str] = []

    def start(training: Training, root: Path, gpu: str | None) -> Ended:
        titles.append(training.title)
        with quick():
            training.write(root)
            folder = training.folder(root)
            # mmengine keeps message hubs by the run's name, which is the second it began at.
            config = folder / 'config.py'
            config.write_text(f'{config.read_text()}\nexperiment_name = {training.title!r}\n')
            train_folder(folder)
        return Ended()

    monkeypatch.setattr(trainings, '_start', start)
    monkeypatch.setattr(trainings, 'POLL_SECONDS', 0.0)
    return titles


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, Any]], list[Training]]:
    """Sets the results that trainings have; None for one that fails. Returns what was started."""
    found: list[Training] = []

    def of(results: dict[str, Any]) -> list[Training]:
        def start(training: Training, root: Path, gpu: str | None) -> Ended:
            found.append(training)
            folder = training.folder(root)
            folder.mkdir(parents=True)
            result = results[training.name]
            result = result[training.seed] if isinstance(result, list) else result
            if isinstance(result, dict):
                text = json.dumps(dict(metrics=result))
                (folder / 'result.json').write_text(text)
            else:
                (folder / trainings.OUTPUT).write_text(result)
            return Ended()

        monkeypatch.setattr(trainings, '_start', start)
        monkeypatch.setattr(trainings, 'POLL_SECONDS', 0.0)
        return found

    return of


def config(data: Path, **options: Any) -> Config:
    cfg = tiny_config(data, TASKS, **options)
    cfg.train_cfg.update(max_epochs=1, iters_per_epoch=1)
    cfg.custom_hooks = [dict(type='WeightingHook'), *cfg.get('custom_hooks', [])]
    return cfg


def compare(cfg: Config, out: Path, methods: list[str], **options: Any) -> dict[str, Any]:
    options.setdefault('accuracies', METRICS)
    path = compare_methods(cfg, out, methods=methods, console=Console(quiet=True), **options)
    return json.loads(path.read_text())


def metrics(attribute: float, parsing: float) -> dict[str, float]:
    return dict(zip(METRICS, (attribute, parsing), strict=True))


ALONE = dict(
    attribute=[{'attribute/MA': 40.0}, {'attribute/MA': 60.0}],
    parsing=[{'parsing/mIoU': 24.0}, {'parsing/mIoU': 16.0}],
)


def test_a_real_comparison_goes_on_with_more_methods(
    data: Path, tmp_path: Path, started: list[str]
) -> None:
    """Round-robin; the potentials are what the single-task networks reached in the same command."""
    cfg = config(data)
    found = compare(cfg, tmp_path, ['uniform', 'amtl'], repeat=1)
    assert started == [f'{name}, seed 0' for name in (*TASKS, 'uniform', 'amtl')]
    reached = {}
    for task, metric in zip(TASKS, METRICS, strict=True):
        result = json.loads((tmp_path / task / 'seed_0/result.json').read_text())
        reached[metric] = result['metrics'][metric]
    amtl = Config.fromfile(tmp_path / 'amtl/seed_0/config.py')
    assert amtl.model.weighting.references == reached == found['references']
    # One validation in the training, that of its end; only this one for a method that needs none.
    for method, validations in (('uniform', 1), ('amtl', 2)):
        (log,) = (tmp_path / method / 'seed_0').glob('*/vis_data/scalars.json')
        assert sum('parsing/mIoU' in line for line in log.read_text().splitlines()) == validations
    single = {name: of['single_task'] for name, of in found['metrics'].items()}
    assert single == reached
    uniform = found['runs']['uniform']['0']
    change = sum(uniform[name] / reached[name] - 1 for name in METRICS) / 2
    assert found['delta_m']['uniform']['0'] == pytest.approx(100 * change)
    assert found['delta_m']['single-task']['0'] == 0

    times = {p: p.stat().st_mtime_ns for p in tmp_path.rglob('*') if 'seed_0' in str(p)}
    again = compare(cfg, tmp_path, ['uniform', 'amtl', 'dwa'], repeat=1)
    assert started[4:] == ['dwa, seed 0']
    assert all(path.stat().st_mtime_ns == time for path, time in times.items())
    assert again['runs']['amtl'] == found['runs']['amtl']
    assert set(again['delta_m']) == {'single-task', 'uniform', 'amtl', 'dwa'}
    for name in ('comparison.md', 'comparison.png'):
        assert (tmp_path / name).stat().st_size > 300


def test_mean_and_spread_over_the_seeds(data: Path, tmp_path: Path, made: Callable) -> None:
    """Relative to the means 50 and 20 of the single-task networks."""
    started = made({**ALONE, 'uniform': [metrics(55, 20), metrics(50, 24)]})
    found = compare(config(data), tmp_path, ['uniform'], repeat=2)
    assert [t.title for t in started[:4]] == [f'{t}, seed {s}' for s in range(2) for t in TASKS]
    assert found['delta_m'] == {
        'single-task': {'0': pytest.approx(0.0), '1': pytest.approx(0.0, abs=1e-12)},
        'uniform': {'0': pytest.approx(5.0), '1': pytest.approx(10.0)},
    }
    summary = found['summary']['uniform']
    assert summary['delta_m'] == pytest.approx(dict(mean=7.5, std=5 / math.sqrt(2)))
    assert summary['attribute/MA'] == pytest.approx(dict(mean=52.5, std=5 / math.sqrt(2)))
    shares = [math.sqrt(0.55 * 0.2), math.sqrt(0.5 * 0.24)]
    assert summary['acc_mtl']['mean'] == pytest.approx(sum(shares) / 2)
    assert found['provenance']['seeds'] == [0, 1]
    table = (tmp_path / 'comparison.md').read_text().splitlines()
    cells = [cell.strip() for cell in table[3].split('|')]
    assert cells[1:4] == ['uniform', '52.50 ± 3.54', '22.00 ± 2.83']
    assert cells[5:7] == ['+7.50 ± 3.54', '2']
    assert found['references'] is None


def test_a_lower_value_is_better_where_the_references_say_so(
    data: Path, tmp_path: Path, made: Callable
) -> None:
    references = {'attribute/MA': 1.0, 'parsing/mIoU': dict(value=9.0, lower_is_better=True)}
    made({**ALONE, 'uniform': metrics(50, 30)})
    cfg = config(data, val_cfg__references=references)
    found = compare(cfg, tmp_path, ['uniform'], repeat=2, accuracies=None)
    assert found['delta_m']['uniform'] == {'0': pytest.approx(-25), '1': pytest.approx(-25)}
    assert 'parsing/mIoU ↓' in (tmp_path / 'comparison.md').read_text()
    with pytest.raises(
        ValueError, match=r"by --accuracies.*for \['amtl'\]; got \['attribute/MA'\]"
    ):
        compare(cfg, tmp_path, ['uniform', 'amtl'], accuracies=None)


def test_what_fails_or_diverges_stops_no_other(data: Path, tmp_path: Path, made: Callable) -> None:
    nan = float('nan')
    results = dict(
        ALONE,
        uw=[metrics(50, nan), metrics(50, 20)],
        dwa='FloatingPointError: sub-step 0, iteration 7: loss is not finite.',
        rlw=[metrics(55, 20), 'OSError: the disk is gone'],
        uniform=metrics(45, 20),
    )
    made(results)
    methods = ['uw', 'dwa', 'cosreg', 'rlw', 'uniform']
    with pytest.raises(RuntimeError, match=r'1 of 8 trainings failed(.|\n)*rlw, seed 1(.|\n)*disk'):
        compare(config(data), tmp_path, methods, repeat=2, amp=True)
    found = json.loads((tmp_path / 'comparison.json').read_text())
    assert found['problems'] == dict(
        uw={'0': 'diverged'},
        dwa={'0': 'diverged', '1': 'diverged'},
        cosreg={'0': 'left out', '1': 'left out'},
        rlw={'1': 'failed'},
    )
    assert '--amp' in found['left_out']['cosreg']
    assert found['runs']['uw']['0'] == {'attribute/MA': 50.0, 'parsing/mIoU': None}
    assert found['delta_m']['uw'] == {'1': pytest.approx(0)}
    assert found['delta_m']['uniform'] == {'0': pytest.approx(-5), '1': pytest.approx(-5)}
    table = (tmp_path / 'comparison.md').read_text()
    assert 'diverged: seed 0' in table and 'failed: seed 1' in table
    assert (tmp_path / 'comparison.png').is_file()


def test_a_single_task_network_that_diverges(data: Path, tmp_path: Path, made: Callable) -> None:
    nothing = 'FloatingPointError: not finite'
    made({**ALONE, 'parsing': [{'parsing/mIoU': 20.0}, nothing], 'uniform': metrics(50, 20)})
    found = compare(config(data), tmp_path / 'one', ['uniform'], repeat=2)
    assert found['metrics']['parsing/mIoU']['single_task'] == 20
    assert found['problems'] == {'single-task': {'1': 'diverged'}}
    for name, result, words in (
        ('all', nothing, "'parsing/mIoU' of the single-task .* is diverged"),
        ('zero', {'parsing/mIoU': 0.0}, r'is \[0\.0, 0\.0\], so no method'),
        ('other', {'parsing/aAcc': 9.0}, r"is not measured in parsing, seed 0.*\['parsing/aAcc'\]"),
        ('failed', 'OSError: the disk', 'trainings failed(.|\n)*the disk'),
    ):
        made({**ALONE, 'parsing': result})
        with pytest.raises((ValueError, RuntimeError), match=words):
            compare(config(data), tmp_path / name, ['uniform'], repeat=2)


def test_potentials_stay_when_seeds_are_added(data: Path, tmp_path: Path, made: Callable) -> None:
    started = made({**ALONE, 'amtl': metrics(50, 20), 'dtp': metrics(50, 20)})
    compare(config(data), tmp_path, ['amtl', 'dtp'], repeat=1)
    compare(config(data), tmp_path, ['amtl', 'dtp'], repeat=2)
    given = [t.cfg.model.weighting for t in started if t.name == 'amtl']
    assert [of.references for of in given] == [metrics(40, 24)] * 2
    assert [t.cfg.model.weighting.metrics for t in started if t.name == 'dtp'] == [METRICS] * 2
    assert len(started) == 8
    with pytest.raises(ValueError, match=r"'amtl' with another config.*accuracies was"):
        other = ['attribute/MA', 'parsing/mAcc']
        compare(config(data), tmp_path, ['amtl'], metrics=METRICS, accuracies=other)


def test_single_task_networks_train_by_the_plain_optimizer(
    data: Path, tmp_path: Path, made: Callable
) -> None:
    started = made({**ALONE, 'dwa': metrics(1, 1)})
    cfg = config(data, model__weighting=dict(type='torchjd.UW'))
    compare(cfg, tmp_path, ['dwa'], repeat=1)
    attribute, parsing, dwa = (training.cfg for training in started)
    assert list(attribute.model.tasks) == list(attribute.train_dataloader) == ['attribute']
    assert attribute.get('optim_wrapper') == parsing.optim_wrapper
    assert parsing.optim_wrapper == dict(type='OptimWrapper', optimizer=cfg.optim_wrapper.optimizer)
    assert 'weighting' not in parsing.model and dwa.model.weighting.type == 'torchjd.DWA'


def test_faults_before_any_training(data: Path, tmp_path: Path, made: Callable) -> None:
    made({})
    cfg = config(data)
    with pytest.raises(ValueError, match=r"no method 'pcgard'.*did you mean 'pcgrad'"):
        compare(cfg, tmp_path, ['uniform', 'pcgard'])
    with pytest.raises(ValueError, match=r'must differ: .*uniform.*uniform'):
        compare(cfg, tmp_path, ['uniform', 'uniform'])
    with pytest.raises(ValueError, match='at least two'):
        compare(tiny_config(data, ['pose']), tmp_path, ['uniform'])
    with pytest.raises(ValueError, match='--repeat'):
        compare(cfg, tmp_path, ['uniform'], repeat=0)
    with pytest.raises(ValueError, match=r'by --metrics or by --accuracies; got \[\]'):
        compare(cfg, tmp_path, ['uniform'], accuracies=None)
    with FileLock(tmp_path / '.lock'), pytest.raises(BlockingIOError, match='another process'):
        compare(cfg, tmp_path, ['uniform'])


def test_a_folder_of_another_config(data: Path, tmp_path: Path, made: Callable) -> None:
    made({**ALONE, 'uniform': metrics(50, 20)})
    compare(config(data), tmp_path, ['uniform'], repeat=1)
    with pytest.raises(ValueError, match=r'another config.*optimizer\.lr was 0\.001'):
        compare(config(data, optim_wrapper__optimizer__lr=0.1), tmp_path, ['uniform'])
    with pytest.raises(ValueError, match=r'another config.*amp was False, is True'):
        compare(config(data), tmp_path, ['uniform'], amp=True)


@pytest.mark.parametrize('method', ['amtl', 'dtp', 'uw', 'pcgrad'])
def test_what_follows_the_validation_has_one_after_every_epoch(method: str, tmp_path: Path) -> None:
    cfg = toy_config(tmp_path, {}, validated=True)
    cfg.train_cfg.update(max_epochs=3, val_begin=3, val_interval=3, dynamic_intervals=[(2, 5)])
    names = ['add/accuracy', 'first/accuracy', 'norm/accuracy']
    use_method(cfg, method, names, dict.fromkeys(names, 50.0))
    training = Training(method, 0, cfg)
    with quick():
        training.write(tmp_path)
    written = Config.fromfile(training.folder(tmp_path) / 'config.py').train_cfg
    follows = method in ('amtl', 'dtp')
    assert (written.val_begin, written.get('val_interval')) == ((1, 1) if follows else (4, 3))
    assert 'dynamic_intervals' not in written


@HOOKS.register_module(force=True)
class KeepWeightingHook(Hook):
    """Keeps the weighting of the latest run."""

    weighting: Any = None

    def before_train(self, runner: Runner) -> None:
        KeepWeightingHook.weighting = runner.model.weighting


def test_the_validation_after_the_end_moves_no_weight(tmp_path: Path) -> None:
    cfg = toy_config(tmp_path, {}, validated=True)
    cfg.custom_hooks.append(dict(type='KeepWeightingHook'))
    names = ['add/accuracy', 'first/accuracy', 'norm/accuracy']
    use_method(cfg, 'amtl', names, dict.fromkeys(names, 50.0))
    training = Training('amtl', 0, named(prepare(cfg)))
    with quick():
        training.write(tmp_path)
        train_folder(training.folder(tmp_path))
    seen = [line for line in scalars(training.folder(tmp_path)) if names[0] in line]
    assert len(seen) == 3  # of two epochs, and after the end
    first, second = ([line[name] for name in names] for line in seen[:2])
    expected = [0.1 * new + 0.9 * old for new, old in zip(second, first, strict=True)]
    assert KeepWeightingHook.weighting.accuracies.tolist() == pytest.approx(expected)
    assert expected != pytest.approx(
        [0.1 * n + 0.9 * o for n, o in zip(second, expected, strict=True)]
    )
