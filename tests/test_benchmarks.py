"""The benchmark of the methods: what it measures, and what becomes of methods that do not fit."""

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fixtures_dense import ROOT, dense_config, write_nyud
from fixtures_training import tiny_config, write_data
from mmengine.config import Config

Rows = dict[str, dict[str, Any]]
# AMTL's Table C as the times to uniform weighting.
PUBLISHED = dict(
    rlw=1.02,
    dwa=0.99,
    gls=1.01,
    mgda=2.48,
    pcgrad=1.87,
    cagrad=1.90,
    gradnorm=1.17,
    imtl_g=1.14,
    imtl=1.87,
    dtp=1.02,
    amtl=0.99,
)


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Imports a script of ``benchmarks``."""
    monkeypatch.syspath_prepend(str(ROOT / 'benchmarks'))
    return importlib.import_module


@pytest.fixture
def measured(
    benchmark: Callable[[str], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Rows]:
    """Runs the benchmark on a config, for some methods."""

    def run(cfg: Config, *methods: str) -> Rows:
        config, out = tmp_path / 'config.py', tmp_path / 'out.json'
        cfg.dump(config)
        options = ['--repeats', '2', '--threads', '1', '--at-once', '3', '--out', str(out)]
        argv = ['methods.py', str(config), '--methods', *methods, *options]
        monkeypatch.setattr(sys, 'argv', argv)
        benchmark('methods').main()
        return json.loads(out.read_text())['rows']

    return run


def test_joint(measured: Callable[..., Rows], tmp_path: Path) -> None:
    data = write_nyud(tmp_path / 'data', number=12)
    cfg = dense_config('ft_r18_scenes', data, tmp_path, ('seg', 'depth', 'normal'))
    names = ('amtl', 'dwa', 'famo', 'torchjd.Mean', 'mgda', 'torchjd.CAGrad', 'cosreg')
    rows = measured(cfg, *names)
    assert list(rows) == ['uniform', *names]
    # Another weighting and other rows of weights, but the same training.
    assert rows['torchjd.Mean']['first_losses'] == rows['uniform']['first_losses']
    assert rows['torchjd.Mean']['last_losses'] == pytest.approx(
        rows['uniform']['last_losses'], rel=1e-3
    )
    assert rows['amtl']['last_losses'] != pytest.approx(rows['uniform']['last_losses'], rel=1e-3)
    assert rows['uniform']['to_uniform'] == rows['uniform']['mib_to_uniform'] == 1
    assert rows['cosreg']['mib_more'] > 0  # the graphs of the gradients
    assert 'c' in rows.pop('torchjd.CAGrad')['error'] and 'error' not in str(rows)
    assert {name: round(row['table_c'], 2) for name, row in rows.items() if 'table_c' in row} == {
        'uniform': 1.0,
        'amtl': PUBLISHED['amtl'],
        'dwa': PUBLISHED['dwa'],
        'mgda': PUBLISHED['mgda'],
    }


def test_round_robin(measured: Callable[..., Rows], tmp_path: Path) -> None:
    cfg = tiny_config(write_data(tmp_path / 'data'), ('attribute', 'parsing'))
    rows = measured(cfg, 'dtp', 'famo', 'mgda', 'mgda_ub', 'cosreg')
    errors = {name: row['error'] for name, row in rows.items() if 'error' in row}
    assert list(errors) == ['famo', 'mgda_ub', 'cosreg'], errors
    assert 'task by task' in errors['famo']
    assert 'features' in errors['mgda_ub'] and 'joint training' in errors['cosreg']
    losses = [value for name in ('dtp', 'mgda') for value in rows[name]['last_losses'].values()]
    assert len(losses) == 4 and all(torch.tensor(losses).isfinite())


def test_published_times(benchmark: Callable[[str], Any]) -> None:
    table = benchmark('methods').TABLE_C
    ratios = {name: round(table[name] / table['uniform'], 2) for name in PUBLISHED}
    assert ratios == PUBLISHED


def test_every_method_is_named_once(benchmark: Callable[[str], Any]) -> None:
    names = benchmark('methods').every_method()
    assert {'uniform', 'mgda', 'uw', 'torchjd.FairGrad', 'torchjd.COSMOS'} <= set(names)
    assert not {'torchjd.MGDA', 'torchjd.UW', 'torchjd.CAGrad'} & set(names)


def test_an_unknown_method(
    measured: Callable[..., Rows], capsys: pytest.CaptureFixture, tmp_path: Path
) -> None:
    with pytest.raises(SystemExit):
        measured(Config(), 'pcgrd')
    assert "did you mean 'pcgrad'" in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="counts the CPU's allocations")
def test_memory_is_that_of_the_tensors_alive_at_once(benchmark: Callable[[str], Any]) -> None:
    before = torch.zeros(2**20)

    def work() -> None:
        kept = torch.zeros(2**20)  # 4 MiB
        torch.zeros(2**20)
        torch.zeros(2**19)
        kept.add_(before)

    peak = benchmark('_shared').tensor_memory
    assert peak(work) == pytest.approx(8, abs=0.01)
    assert peak(lambda: None) == 0


def test_turns_and_ratios(benchmark: Callable[[str], Any]) -> None:
    shared, now, turns = benchmark('_shared'), [0.0], []

    def step(name: str, seconds: float) -> Callable[[], None]:
        def work() -> None:
            turns.append(name)
            now[0] += seconds * len(turns)  # the machine gets slower and slower

        return work

    steps = {'one': step('one', 1.0), 'other': step('other', 3.0)}
    times = shared.take_turns(steps, 9, lambda: now[0])
    assert turns == ['one', 'other'] * 10
    assert len(times['one']) == 9
    assert shared.ratio(times['other'], times['one']) == pytest.approx(3, rel=0.15)
