"""Trainings of a study: how they are started, what ended them, and when they are validated."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
from fixtures_training import in_child, quick, run, scalars
from mmengine.config import Config
from rich.console import Console
from toy_joint import TASKS, ToyScenes, joint_config
from toy_run import write_config
from toy_weighting import AMTL, SINGLE
from toy_weighting import config as toy_config

from mmgradsplit.apis.methods import use_method
from mmgradsplit.apis.preparation import prepare
from mmgradsplit.registry import DATASETS
from mmgradsplit.studies import train_seeds, training_process
from mmgradsplit.studies.study import Study
from mmgradsplit.studies.trainings import Training
from mmgradsplit.utils import fingerprint

PLATEAU = dict(type='ReduceOnPlateauLR', monitor='add/accuracy', rule='greater', patience=0)
EARLY = dict(type='EarlyStoppingHook', monitor='add/accuracy', rule='greater')


def toy_study(root: Path, **options: Any) -> Study:
    return Study(root, 1, console=Console(quiet=True), **options)


def toy_training(root: Path, seed: int = 0, **options: Any) -> Training:
    return Training('toy', seed, prepare(toy_config(root, None, validated=True, **options)))


# ---- processes ----


def test_a_process_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it trains is what tools/train.py trains."""
    monkeypatch.setenv('PYTHONPATH', os.pathsep.join([str(Path(__file__).parents[1]), os.getcwd()]))
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    monkeypatch.chdir(tmp_path)
    path = write_config(tmp_path)
    (metrics,) = train_seeds([path], 'out', repeat=1, console=Console(quiet=True))['toy']
    by_hand = run(Config.fromfile(path), tmp_path / 'by_hand')
    assert metrics == pytest.approx(by_hand.val_loop.run())
    result = json.loads((tmp_path / 'out/toy/seed_0/result.json').read_text())
    assert result == dict(seed=0, metrics=metrics, weights=fingerprint(by_hand.model))
    output = (tmp_path / 'out/toy/seed_0/output.txt').read_text()
    assert 'WARNING' in output and 'runpy' not in output


def test_a_failure_stops_no_other_and_is_said_by_its_own_output(
    tmp_path: Path, inside: list[str]
) -> None:
    trainings = [toy_training(tmp_path, seed) for seed in range(2)]
    trainings[0].cfg.model.tasks.first.type = 'NoSuchTask'
    with pytest.raises(RuntimeError, match=r'1 of 2 trainings failed(.|\n)*toy, seed 0') as raised:
        toy_study(tmp_path).run(trainings)
    assert 'NoSuchTask' in str(raised.value)
    assert inside == ['toy/seed_0', 'toy/seed_1']
    failure = json.loads((tmp_path / 'toy/seed_0/failure.json').read_text())
    assert failure['type'] == 'ValueError' and 'NoSuchTask' in failure['message']
    assert 'Traceback' in (tmp_path / 'toy/seed_0/output.txt').read_text()
    assert trainings[1].result(tmp_path)


class Endless:
    """A Popen that does not end by itself."""

    all: ClassVar[list] = []

    def __init__(self, command: list[str], env: dict[str, str], **options: Any) -> None:
        self.gpu = env.get('CUDA_VISIBLE_DEVICES')
        self.calls: list[str] = []
        self.all.append(self)

    def poll(self) -> None:
        if len(self.all) > 2:  # all that may run at once
            raise KeyboardInterrupt

    def terminate(self) -> None:
        self.calls.append('terminate')

    def wait(self) -> None:
        self.calls.append('wait')


def test_they_are_spread_over_gpus_and_end_with_the_command(
    tmp_path: Path, popen: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    popen(Endless)
    monkeypatch.setattr(Endless, 'all', [])
    trainings = [toy_training(tmp_path, seed) for seed in range(4)]
    with pytest.raises(KeyboardInterrupt):
        toy_study(tmp_path, gpus=['5', '7'], processes=3).attempt(trainings)
    assert [process.gpu for process in Endless.all] == ['5', '7', '5']
    assert all(process.calls == ['terminate', 'wait'] for process in Endless.all)


# ---- what ended them ----


def test_the_latest_attempt_says_whether_a_training_diverged(
    tmp_path: Path, forked: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Words of an earlier attempt in the output do not count."""

    def ends(how: Callable[[], Any]) -> tuple[bool, str]:
        monkeypatch.setattr(training_process, 'train', lambda *args, **options: how())
        (failure,) = toy_study(tmp_path).attempt([toy_training(tmp_path)]).values()
        return failure.diverged, failure.text

    def diverge() -> None:
        raise FloatingPointError('loss is not finite')

    def fail() -> None:
        raise OSError('out of space; FloatingPointError is only a word here')

    def killed() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    diverged, text = ends(diverge)
    assert diverged and 'loss is not finite' in text
    failed, text = ends(killed)
    assert not failed and text == ''
    assert ends(diverge)[0]
    assert not ends(fail)[0]
    assert ends(diverge)[0]
    # One that had to wait for another process, which ended while it was waiting.
    folder = tmp_path / 'toy/seed_0'
    assert in_child(lambda: training_process.run(folder)) == 1
    monkeypatch.setattr(training_process, 'train', lambda *args, **options: killed())
    assert in_child(lambda: training_process.run(folder)) == -signal.SIGKILL
    assert not (folder / 'failure.json').exists()


def test_a_real_training_that_diverges(tmp_path: Path, inside: list[str]) -> None:
    trainings = [
        toy_training(tmp_path, seed, optim_wrapper__optimizer__lr=lr)
        for seed, lr in enumerate((0.05, 1e200))
    ]
    failed = toy_study(tmp_path).attempt(trainings)
    assert {training.seed: failure.diverged for training, failure in failed.items()} == {1: True}


# ---- validation ----


@pytest.mark.parametrize(
    ('options', 'follows'),
    [
        (dict(), False),
        (dict(param_scheduler=[dict(type='MultiStepLR', milestones=[1])]), False),
        (dict(param_scheduler=[dict(type='ConstantLR'), PLATEAU]), True),
        (dict(param_scheduler=PLATEAU), True),
        (dict(param_scheduler=dict(add=[PLATEAU])), True),
        (dict(default_hooks__checkpoint__save_best='add/accuracy'), True),
        (dict(custom_hooks=[EARLY]), True),
        (dict(optim_wrapper__weighting=AMTL, optim_wrapper__type='MultiTaskOptimWrapper'), True),
    ],
)
def test_it_is_validated_in_between_where_something_follows_that(
    options: dict, follows: bool, tmp_path: Path
) -> None:
    training = toy_training(tmp_path, **options)
    own = dict(max_epochs=9, val_begin=3, val_interval=2, dynamic_intervals=[(5, 1)])
    training.cfg.train_cfg.update(own)
    training.write(tmp_path)
    written = Config.fromfile(training.folder(tmp_path) / 'config.py').train_cfg
    once = dict(max_epochs=9, val_begin=10, val_interval=2)
    found = {key: written[key] for key in own if key in written}
    assert found == (own if follows else once)


@pytest.mark.parametrize('method', ['amtl', 'dtp', 'uw', 'pcgrad'])
def test_what_follows_the_validation_has_one_after_every_epoch(method: str, tmp_path: Path) -> None:
    training = toy_training(tmp_path)
    settings = dict(max_epochs=3, val_begin=3, val_interval=3, dynamic_intervals=[(2, 5)])
    training.cfg.train_cfg.update(settings)
    use_method(training.cfg, method, SINGLE)
    training.write(tmp_path)
    written = Config.fromfile(training.folder(tmp_path) / 'config.py').train_cfg
    follows = method in ('amtl', 'dtp')
    assert (written.val_begin, written.get('val_interval')) == ((1, 1) if follows else (4, 3))
    assert 'dynamic_intervals' not in written


def validations(folder: Path) -> list[dict]:
    return [line for line in scalars(folder) if 'add/accuracy' in line]


def test_schedulers_and_best_checkpoints_follow_the_validations(
    tmp_path: Path, inside: list[str]
) -> None:
    """No accuracy is good enough for the scheduler after the first: the rate falls."""
    scheduler = dict(PLATEAU, threshold=1e9, factor=0.5)
    training = toy_training(
        tmp_path,
        train_cfg__max_epochs=3,
        param_scheduler=[scheduler],
        default_hooks__checkpoint__save_best='add/accuracy',
    )
    assert toy_study(tmp_path).attempt([training]) == {}
    folder = training.folder(tmp_path)
    rates = [line['lr'] for line in scalars(folder) if 'lr' in line]
    assert rates == [0.05] * 6 + [0.025] * 3
    assert len(list(folder.glob('best_add_accuracy_epoch_*.pth'))) == 1
    # The one after the last epoch is not made again.
    assert len(validations(folder)) == 3
    metrics = {name: validations(folder)[-1][name] for name in SINGLE}
    assert training.result(tmp_path) == metrics

    # Killed between its end and its result, the training has forgotten them.
    (folder / 'result.json').unlink()
    with quick():
        training_process.run(folder)
    assert training.result(tmp_path) == pytest.approx(metrics)


def test_one_validation_where_nothing_follows_it(tmp_path: Path, inside: list[str]) -> None:
    training = toy_training(tmp_path, train_cfg__max_epochs=3)
    assert toy_study(tmp_path).attempt([training]) == {}
    (line,) = validations(training.folder(tmp_path))
    assert training.result(tmp_path) == {name: line[name] for name in SINGLE}


def test_a_config_without_validation_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r'val_cfg: .*no validation'):
        toy_study(tmp_path).prepare(joint_config(tmp_path))


# ---- their lengths ----


@DATASETS.register_module(force=True)
class CountedScenes(ToyScenes):
    """Counts how often it is built."""

    built = 0

    def __init__(self, number: int) -> None:
        super().__init__(number)
        CountedScenes.built += 1


def test_the_data_set_is_built_once_for_all_trainings(
    tmp_path: Path, made: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CountedScenes, 'built', 0)
    made(dict(toy=dict.fromkeys(SINGLE, 1.0)))
    dataset = dict(train_dataloader__dataset__type='CountedScenes')
    trainings = [
        toy_training(tmp_path, seed, **dataset, train_dataloader__dataset__number=number)
        for seed, number in enumerate((12, 12, 8, 12))
    ]
    trainings[3].cfg.train_cfg.allocator = dict(type='ISTA')
    assert toy_study(tmp_path).attempt(trainings) == {}
    assert [t.steps for t in trainings] == [2 * 3, 2 * 3, 2 * 2, 2 * 3 * len(TASKS)]
    assert CountedScenes.built == 2


def test_the_steps_that_are_done_are_those_of_the_log(tmp_path: Path) -> None:
    training = toy_training(tmp_path)
    assert training.done(tmp_path) == 0
    log = training.folder(tmp_path) / '20260101_000000/vis_data/scalars.json'
    log.parent.mkdir(parents=True)
    log.write_text('{"iter": 3}\n{"iter": 4, "loss": 1.0}\n{"add/accuracy": 1.0}\n{"iter": 5')
    assert training.done(tmp_path) == 4
    (training.folder(tmp_path) / 'result.json').write_text('{}')
    assert training.done(tmp_path) == training.steps == 6
