"""The summary of a run: right numbers, and no trace in the training."""

import itertools
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fixtures_ranks import on_two_ranks
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from toy_run import ToyData, ToyError, ToyModel, write_config

from mmgradsplit.apis import train
from mmgradsplit.engine.hooks.summary import render_table
from mmgradsplit.registry import HOOKS, MODELS

RUNS = itertools.count()


@MODELS.register_module(force=True)
class NoisyModel(ToyModel):
    """Draws random numbers of all kinds, in training and in evaluation."""

    def forward(self, x: torch.Tensor, y: torch.Tensor, mode: str = 'tensor') -> Any:
        noise = torch.rand(1) + random.random() + np.random.rand()
        result = super().forward(x, y, mode)
        return {'loss': result['loss'] * noise} if mode == 'loss' else result


@HOOKS.register_module(force=True)
class SpyHook(Hook):
    """Keeps the iterations at which a validation was seen."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def before_val(self, runner: Runner) -> None:
        self.seen.append(runner.iter)


def config(folder: Path, *hooks: dict, epochs: int = 2, **options: Any) -> Config:
    cfg = Config.fromfile(write_config(folder, epochs=epochs))
    cfg.merge_from_dict({'model.type': 'NoisyModel', 'log_level': 'INFO', **options})
    cfg.custom_hooks, cfg.work_dir = list(hooks), str(folder)
    # mmengine tells runs apart, and their logs, by a name that has the time in seconds.
    cfg.experiment_name = f'run {next(RUNS)}'
    return cfg


def run(cfg: Config) -> Runner:
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner


def log_of(runner: Runner) -> str:
    return next(Path(runner.log_dir).glob('*.log')).read_text()


def summary_of(folder: Path) -> dict:
    return json.loads((folder / 'summary.json').read_text())


def test_training_is_bit_for_bit_the_same_without_it(tmp_path: Path) -> None:
    (tmp_path / 'a').mkdir()
    (tmp_path / 'b').mkdir()
    bare = run(config(tmp_path / 'a', dict(type='SpyHook')))
    summed = run(config(tmp_path / 'b', dict(type='SpyHook'), dict(type='SummaryHook')))
    for name, value in bare.model.state_dict().items():
        assert torch.equal(value, summed.model.state_dict()[name]), name
    # The hooks see the validations of the epochs alone.
    assert [hook.seen for r in (bare, summed) for hook in r.hooks if isinstance(hook, SpyHook)] == [
        [4, 8],
        [4, 8],
    ]
    scalars = [set(r.message_hub.log_scalars) for r in (bare, summed)]
    assert scalars[0] == scalars[1]
    numbers = [r.message_hub.log_scalars['val/error'].data[0] for r in (bare, summed)]
    assert numbers[0].tolist() == numbers[1].tolist()


def test_the_numbers_are_those_of_the_untrained_and_the_trained_network(tmp_path: Path) -> None:
    runner = run(config(tmp_path, dict(type='SummaryHook')))
    data = runner.val_dataloader.dataset
    x, y = (torch.stack([data[i][key] for i in range(len(data))]) for key in ('x', 'y'))
    untrained = y.abs().mean()  # its weights are zero
    trained = (runner.model.linear(x) - y).abs().mean()
    summary = summary_of(tmp_path)
    assert summary['untrained']['error'] == pytest.approx(float(untrained), rel=1e-5)
    assert summary['trained']['error'] == pytest.approx(float(trained), rel=1e-5)
    assert (summary['config'], summary['seed'], summary['iterations']) == ('toy.py', 0, 8)
    log = log_of(runner)
    assert '| metric | untrained | trained |' in log
    assert f'| error  |      {untrained:.2f} |    {trained:.2f} |' in log
    assert not list(tmp_path.glob('*.tmp'))


def test_a_resumed_run_finds_what_was_before(tmp_path: Path) -> None:
    run(config(tmp_path, dict(type='SummaryHook'), epochs=1))
    first = summary_of(tmp_path)
    resumed = dict(resume=True, load_from=str(tmp_path / 'epoch_1.pth'))
    run(config(tmp_path, dict(type='SummaryHook'), epochs=2, **resumed))
    second = summary_of(tmp_path)
    assert second['untrained'] == first['untrained']
    assert second['trained'] != first['trained']
    (tmp_path / 'summary.json').unlink()
    runner = run(config(tmp_path, dict(type='SummaryHook'), epochs=3, **resumed))
    assert 'has no metrics of the untrained network' in log_of(runner)
    assert summary_of(tmp_path)['untrained'] is None


def test_the_baseline_is_a_column(tmp_path: Path) -> None:
    other, own = tmp_path / 'other', tmp_path / 'own'
    other.mkdir()
    own.mkdir()
    run(config(other, dict(type='SummaryHook'), epochs=3))
    runner = run(config(own, dict(type='SummaryHook', baseline=str(other))))
    baseline = summary_of(other)['trained']['error']
    assert f'| {baseline:.2f} |' in ' '.join(log_of(runner).split())
    assert 'multi-head baseline' in log_of(runner)


def test_a_baseline_that_is_not_there_is_left_out_with_a_notice(tmp_path: Path) -> None:
    runner = run(config(tmp_path, dict(type='SummaryHook', baseline=str(tmp_path / 'nowhere'))))
    log = log_of(runner)
    assert "nowhere' is not there; its column is left out" in log
    assert '| multi-head' not in log


@pytest.mark.parametrize('content', ['{', '[]', '{"error": 1}'])
def test_a_wrong_baseline_is_an_error_before_training(tmp_path: Path, content: str) -> None:
    file = tmp_path / 'wrong.json'
    file.write_text(content)
    with pytest.raises(ValueError, match=r'wrong\.json'):
        run(config(tmp_path, dict(type='SummaryHook', baseline=str(file))))
    assert not list(tmp_path.glob('*.pth'))


def test_without_validation_it_says_so(tmp_path: Path) -> None:
    cfg = config(tmp_path, dict(type='SummaryHook'))
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    runner = run(cfg)
    assert 'no val_cfg, so there is no summary' in log_of(runner)
    assert not (tmp_path / 'summary.json').exists()


def test_the_untrained_network_can_be_left_out(tmp_path: Path) -> None:
    run(config(tmp_path, dict(type='SummaryHook', untrained=False)))
    assert summary_of(tmp_path)['untrained'] is None


def test_a_metric_that_is_not_finite_is_valid_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ToyError, 'compute_metrics', lambda self, results: {'error': np.nan})
    runner = run(config(tmp_path, dict(type='SummaryHook')))
    assert summary_of(tmp_path)['trained'] == {'error': None}
    assert '| error  |         - |       - |' in log_of(runner)


def cells(text: str) -> list[list[str]]:
    lines = [line.strip().strip('|').split('|') for line in text.splitlines()]
    return [[cell.strip() for cell in line] for line in lines]


def test_the_main_metric_comes_first_and_the_sums_last() -> None:
    trained = {'a/x': 1.0, 'delta_m': 12.0, 'delta_raw': 5.0, 'a/y': 60.0, 'b/z/top1': 30.0}
    baseline = {'b/z/top1': 20.0, 'a/y': 55.0, 'delta_m': 99.0}
    references = {'a/y': 50.0, 'b/z/top1': 20.0}
    columns = {'trained': trained, 'multi-head baseline': baseline}
    header, _, *rows = cells(render_table(columns, references))
    assert header == ['metric', 'trained', 'multi-head baseline', 'single-task reference']
    # delta_m by the formula of section 4.1: the mean of 20 % and 50 %, and of 10 % and 0 %;
    # acc_mtl is the square root of 0.6 * 0.3, 0.55 * 0.2 and 0.5 * 0.2.
    assert rows == [
        ['a/y', '60.00', '55.00', '50.00'],
        ['a/x', '1.00', '-', '-'],
        ['b/z/top1', '30.00', '20.00', '20.00'],
        ['acc_mtl', '0.4243', '0.3317', '0.3162'],
        ['delta_m', '35.00', '5.00', '0.00'],
    ]


def test_lower_may_be_better() -> None:
    text = render_table({'trained': {'depth/rmse': 0.5}}, {'depth/rmse': 1.0}, {'depth/rmse'})
    assert cells(text)[-2:] == [['acc_mtl', '2.0000', '1.0000'], ['delta_m', '50.00', '0.00']]
    text = render_table({'trained': {'depth/rmse': 0.0}}, {'depth/rmse': 1.0}, {'depth/rmse'})
    assert cells(text)[-2] == ['acc_mtl', '-', '1.0000']


def train_rank(rank: int, folder: Path) -> None:
    cfg = config(folder, dict(type='SummaryHook'), epochs=1, **{'model.type': 'ToyModel'})
    train(cfg, work_dir=folder / 'run', launcher='pytorch')


def test_all_processes_take_part(tmp_path: Path) -> None:
    """Each of two processes has half of the data; the numbers are those of all of it."""
    on_two_ranks(train_rank, tmp_path)
    data = ToyData()
    x, y = (torch.stack([data[i][key] for i in range(len(data))]) for key in ('x', 'y'))
    state = torch.load(tmp_path / 'run' / 'epoch_1.pth', weights_only=False)['state_dict']
    trained = x @ state['linear.weight'].T + state['linear.bias']
    summary = summary_of(tmp_path / 'run')
    assert summary['untrained']['error'] == pytest.approx(float(y.abs().mean()), rel=1e-5)
    assert summary['trained']['error'] == pytest.approx(float((trained - y).abs().mean()), rel=1e-5)
