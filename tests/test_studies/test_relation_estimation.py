"""Relations measured from single-task and two-task trainings, stopped and started again."""

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
from filelock import FileLock
from fixtures_training import assert_same, load, run, tiny_config
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.runner import Runner
from rich.console import Console
from toy_joint import TASKS as TOYS
from toy_weighting import SINGLE
from toy_weighting import config as toy_config

from mmgradsplit.optim.grad_split.relations import load_changes
from mmgradsplit.registry import HOOKS
from mmgradsplit.registry import METRICS as REGISTRY
from mmgradsplit.studies import estimate_relations

TASKS = ['attribute', 'parsing']
METRICS = ['attribute/MA', 'parsing/mIoU']
PAIR = 'attribute+parsing'


@HOOKS.register_module(force=True)
class FailHook(Hook):
    """Fails trainings of a task as long as a file is there."""

    def __init__(self, file: str, task: str) -> None:
        self.file, self.task = Path(file), task

    def before_train(self, runner: Runner) -> None:
        if list(runner.model.tasks) == [self.task] and self.file.is_file():
            raise OSError('the disk of this task is gone')


def config(data: Path, **options: Any) -> Config:
    return tiny_config(data, TASKS, **options)


def estimate(cfg: Config, out: Path, **options: Any) -> dict:
    options = dict(metrics=METRICS, console=Console(quiet=True)) | options
    return json.loads(estimate_relations(cfg, out, **options).read_text())


def metrics(attribute: float, parsing: float) -> dict[str, float]:
    return dict(zip(METRICS, (attribute, parsing), strict=True))


def alone(attribute: float = 50.0, parsing: float = 50.0) -> dict[str, dict[str, float]]:
    """What the single-task networks measure."""
    return {
        task: {name: of}
        for task, (name, of) in zip(TASKS, metrics(attribute, parsing).items(), strict=True)
    }


def test_the_trainings_are_those_of_single_and_multi_head_configs(
    data: Path, tmp_path: Path, inside: list[str]
) -> None:
    """Whatever else the config of GradSplit has, or does not have."""
    cfg = config(data, optim_wrapper__drop_grad=0.5, train_cfg__val_interval=1)
    cfg.optim_wrapper.weighting = dict(type='torchjd.UW')
    del cfg.optim_wrapper.relations
    found = estimate(cfg, tmp_path / 'relations')

    names = (*TASKS, PAIR)
    assert inside == [f'{name}/seed_0' for name in names]
    reached = {}
    for name in names:
        folder = tmp_path / 'relations' / name / 'seed_0'
        reached[name] = json.loads((folder / 'result.json').read_text())['metrics']
        by_hand = tiny_config(data, name.split('+'), optim_wrapper__relations='all')
        runner = run(by_hand, tmp_path / 'by_hand' / name)
        ours = load(folder / 'epoch_2.pth')['state_dict']
        assert_same(ours, load(Path(runner.work_dir, 'epoch_2.pth'))['state_dict'])
        measured = runner.val_loop.run()
        assert reached[name] == pytest.approx({key: float(measured[key]) for key in reached[name]})
    pair, single = reached[PAIR], {**reached['attribute'], **reached['parsing']}
    assert found['relations'] == pytest.approx(
        {
            'attribute -> parsing': pair['parsing/mIoU'] / single['parsing/mIoU'] - 1,
            'parsing -> attribute': pair['attribute/MA'] / single['attribute/MA'] - 1,
        }
    )
    assert found['provenance']['seeds'] == [0]
    assert (tmp_path / 'relations/relations.png').stat().st_size > 10_000
    # What was written is what the config's relations read.
    changes = load_changes(tmp_path / 'relations/relations.json', TASKS)
    assert changes[0, 1] == found['relations']['attribute -> parsing']


def test_gradsplit_keeps_its_optimizers_alone(data: Path, tmp_path: Path, made: Callable) -> None:
    made({**alone(), PAIR: metrics(50, 50)})
    cfg = config(data)
    kept = dict(
        type='GradSplitOptimWrapper',
        optimizer=cfg.optim_wrapper.optimizer,
        modules=['layer4'],
        optimizers='shared',
        update='iteration',
        threshold=-0.2,
    )
    aggregator = dict(type='torchjd.PCGrad')
    cfg.optim_wrapper = dict(kept, aggregator=aggregator, drop_grad=0.5, relations='none')
    cfg.train_cfg.allocator = dict(type='STA')
    assert estimate(cfg, tmp_path)['threshold'] == -0.2
    written = Config.fromfile(tmp_path / PAIR / 'seed_0/config.py')
    constructor = 'mmgradsplit.GradSplitOptimWrapperConstructor'
    assert written.optim_wrapper == dict(kept, relations='all', constructor=constructor)
    assert 'allocator' not in written.train_cfg


@pytest.mark.parametrize('kind', ['OptimWrapper', 'AggregatorOptimWrapper'])
def test_any_other_config_is_trained_uniformly(kind: str, tmp_path: Path, made: Callable) -> None:
    every = {f'{a}+{b}': SINGLE for i, a in enumerate(TOYS) for b in TOYS[i + 1 :]}
    made({**dict.fromkeys(TOYS, SINGLE), **every})
    cfg = toy_config(tmp_path, None, validated=True)
    optimizer = cfg.optim_wrapper.optimizer
    cfg.optim_wrapper = dict(type=kind, optimizer=optimizer)
    if kind != 'OptimWrapper':
        cfg.optim_wrapper.update(
            aggregator=dict(type='torchjd.PCGrad'), weighting=dict(type='torchjd.UW')
        )
        cfg.train_cfg.allocator = dict(type='ISTA')
    estimate(cfg, tmp_path, metrics=list(SINGLE))
    for name in (*TOYS, *every):
        written = Config.fromfile(tmp_path / name / 'seed_0/config.py')
        assert written.optim_wrapper.type == 'MultiTaskOptimWrapper'
        assert written.optim_wrapper.optimizer == optimizer
        assert not {'weighting', 'aggregator', 'on'} & {*written.optim_wrapper}
        assert 'allocator' not in written.train_cfg


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


def test_a_failed_training_stops_no_other(data: Path, tmp_path: Path, inside: list[str]) -> None:
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


def test_repeated_relations_have_a_spread(data: Path, tmp_path: Path, made: Callable) -> None:
    # attribute -> parsing: -10%, -12%, -14%; parsing -> attribute: -10%, 0%, +10%.
    made({**alone(), PAIR: [metrics(45, 45), metrics(50, 44), metrics(55, 43)]})
    found = estimate(config(data), tmp_path, repeat=3)
    assert found['relations'] == pytest.approx(
        {'attribute -> parsing': -0.12, 'parsing -> attribute': 0.0}, abs=1e-12
    )
    assert found['spread'] == pytest.approx(
        {'attribute -> parsing': 0.02, 'parsing -> attribute': 0.1}
    )
    assert found['threshold'] == -0.01  # section 3.1, where the config has none
    assert found['unsettled'] == ['parsing -> attribute']
    assert found['negative'] == ['attribute -> parsing']


@REGISTRY.register_module(force=True)
class LossMetric(BaseMetric):
    """Says that lower is better."""

    lower_is_better: ClassVar = {'*': True}


@pytest.mark.parametrize('kind', ['SilentMetric', 'LossMetric'])
def test_lower_is_better(data: Path, tmp_path: Path, made: Callable, kind: str) -> None:
    """Said by the references where the class of the metric does not, or by the class."""
    made({**alone(50.0, 2.0), PAIR: metrics(40, 3)})
    said = {} if kind == 'LossMetric' else dict(lower_is_better=True)
    references = {'attribute/MA': 50.0, 'parsing/mIoU': dict(value=2.0, **said)}
    cfg = config(data, val_cfg__references=references)
    cfg.val_evaluator.parsing = dict(type=kind)
    found = estimate(cfg, tmp_path, metrics=None)
    assert found['relations'] == pytest.approx(
        {'attribute -> parsing': -0.5, 'parsing -> attribute': -0.2}
    )


@pytest.mark.parametrize(
    ('value', 'words'),
    [(0.0, 'parsing, seed 0.*other than 0'), (float('nan'), 'parsing, seed 0 diverged')],
)
def test_accuracies_without_a_relation(
    data: Path, tmp_path: Path, made: Callable, value: float, words: str
) -> None:
    made({**alone(parsing=value), PAIR: metrics(50, 50)})
    with pytest.raises(ValueError, match=words):
        estimate(config(data), tmp_path)
    assert len(list(tmp_path.rglob('result.json'))) == 3
    assert not (tmp_path / 'relations.json').exists()


def test_faults_before_any_training(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r'named once.*val_cfg\.references or by --metrics'):
        estimate_relations(config(data), tmp_path, metrics=METRICS[:1])
    with pytest.raises(ValueError, match='at least two'):
        estimate_relations(tiny_config(data, ['pose']), tmp_path, metrics=['pose/PCK'])
    with pytest.raises(ValueError, match='--repeat'):
        estimate(config(data), tmp_path, repeat=0)


def test_a_folder_of_another_config(data: Path, tmp_path: Path, made: Callable) -> None:
    made({**alone(), PAIR: metrics(50, 50)})
    estimate(config(data), tmp_path)
    before = (tmp_path / 'relations.json').read_bytes()
    with pytest.raises(ValueError, match=r'another config.*optimizer\.lr was 0\.001'):
        estimate(config(data, optim_wrapper__optimizer__lr=0.1), tmp_path)
    assert (tmp_path / 'relations.json').read_bytes() == before


def test_two_processes_in_one_folder(data: Path, tmp_path: Path) -> None:
    with FileLock(tmp_path / '.lock'), pytest.raises(BlockingIOError, match='another process'):
        estimate(config(data), tmp_path)


def test_a_damaged_result(data: Path, tmp_path: Path) -> None:
    (tmp_path / 'parsing/seed_0').mkdir(parents=True)
    (tmp_path / 'parsing/seed_0/result.json').write_text('{"metr')
    with pytest.raises(ValueError, match=r"seed_0/result\.json' is damaged.*remove the file"):
        estimate(config(data), tmp_path)
