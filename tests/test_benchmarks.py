"""The benchmarks: what they measure, and what becomes of methods that do not fit."""

import copy
import importlib
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fixtures_dense import ROOT, dense_config, write_nyud
from fixtures_training import tiny_config, write_data
from mmengine.config import Config
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook

from mmgradsplit.apis.preparation import prepare

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
    names = ('amtl', 'mean', 'mgda', 'gradsplit', 'cosreg')
    rows = measured(cfg, *names)
    assert list(rows) == ['uniform', *names]
    # The mean of the task gradients is the gradient of the mean loss.
    assert rows['mean']['first_losses'] == rows['uniform']['first_losses']
    assert rows['mean']['last_losses'] == pytest.approx(rows['uniform']['last_losses'], rel=1e-3)
    assert rows['amtl']['last_losses'] != pytest.approx(rows['uniform']['last_losses'], rel=1e-3)
    assert rows['uniform']['to_uniform'] == rows['uniform']['mib_to_uniform'] == 1
    assert rows['cosreg']['mib_more'] > 0  # the graphs of the gradients
    assert 'set relations in the config' in rows.pop('gradsplit')['error']
    assert 'error' not in str(rows)
    assert {name: round(row['table_c'], 2) for name, row in rows.items() if 'table_c' in row} == {
        'uniform': 1.0,
        'amtl': PUBLISHED['amtl'],
        'mgda': PUBLISHED['mgda'],
    }


def test_round_robin(measured: Callable[..., Rows], tmp_path: Path) -> None:
    cfg = tiny_config(write_data(tmp_path / 'data'), ('attribute', 'parsing'))
    rows = measured(cfg, 'dtp', 'famo', 'mgda_ub', 'cosreg')
    errors = {name: row['error'] for name, row in rows.items() if 'error' in row}
    assert list(errors) == ['famo', 'mgda_ub', 'cosreg'], errors
    assert 'before and after one update' in errors['famo']
    assert 'features' in errors['mgda_ub'] and 'joint training' in errors['cosreg']
    assert list(rows['dtp']['last_losses']) == ['attribute', 'parsing']
    assert all(torch.tensor(list(rows['dtp']['last_losses'].values())).isfinite())


def test_published_times(benchmark: Callable[[str], Any]) -> None:
    table = benchmark('methods').TABLE_C
    ratios = {name: round(table[name] / table['uniform'], 2) for name in PUBLISHED}
    assert ratios == PUBLISHED


def test_the_table_of_what_trains(
    benchmark: Callable[[str], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / 'own.py'
    own.write_text("# A method of one's own,\n# in two lines.\nown = dict(optim_wrapper=dict())\n")
    configs = [tmp_path / 'joint.py', tmp_path / 'round_robin.py']
    joint = dense_config('ft_r18_scenes', write_nyud(tmp_path / 'nyud', number=4), tmp_path)
    joint.dump(configs[0])
    tiny_config(write_data(tmp_path / 'data'), ('attribute', 'parsing')).dump(configs[1])
    out = tmp_path / 'table.md'
    argv = ['methods.py', *configs, '--methods', own, 'sta', 'dtp', '--table', out, '--repeats', 2]
    monkeypatch.setattr(sys, 'argv', [str(word) for word in argv])
    benchmark('methods').main()
    rows = [
        [cell.strip() for cell in line.strip('|').split('|')]
        for line in out.read_text().splitlines()
    ]
    assert rows[0] == ['method', 'what it is', 'joint', 'round_robin']
    own_row, sta, dtp = rows[2:]
    assert own_row == ['`own`', "A method of one's own, in two lines.", 'trains', 'trains']
    assert (sta[0], sta[2], dtp[2:]) == ('`sta`', 'trains', ['trains', 'trains'])
    assert sta[3].startswith("the method 'sta' allocates") and 'Error' not in sta[3]


def test_what_an_allocation_costs(benchmark: Callable[[str], Any], tmp_path: Path) -> None:
    cfg = prepare(dense_config('ft_r18_scenes', write_nyud(tmp_path / 'data'), tmp_path))
    allocation = benchmark('allocation')
    work = {
        kind: allocation.Iterations(kind, cfg, str(tmp_path)).work(2) for kind in ('FT', 'ISTA')
    }
    tasks, size = list(cfg.model.tasks), cfg.train_dataloader.batch_size
    # ISTA gives each sample every task, as FT does, in as many sub-steps as there are tasks.
    assert {k: of['samples'] for k, of in work.items()} == dict.fromkeys(
        work, dict.fromkeys(tasks, size)
    )
    assert (work['FT']['updates'], work['ISTA']['updates']) == (1, len(tasks))
    assert work['FT']['head_flops'] == pytest.approx(work['ISTA']['head_flops'])
    shared = {kind: of['flops'] - of['head_flops'] for kind, of in work.items()}
    assert shared['ISTA'] == pytest.approx(len(tasks) * shared['FT'])


def test_a_major_iteration_of_each_kind(benchmark: Callable[[str], Any], tmp_path: Path) -> None:
    cfg = prepare(tiny_config(write_data(tmp_path / 'data'), ('attribute', 'parsing')), tmp_path)
    module = benchmark('major_iteration')
    updates: list[Optimizer] = []
    hook = register_optimizer_step_post_hook(lambda optimizer, *_: updates.append(optimizer))
    try:
        for kind in (module.BARE, module.MULTI_HEAD, module.GRADSPLIT):
            step = module.build_step(kind, cfg, str(tmp_path))
            updates.clear()
            step()
            step()
            # Each of the two tasks steps an optimizer of its own, in turn.
            assert len(updates) == 4
            assert updates[:2] == updates[2:]
            assert len(set(updates)) == 2
    finally:
        hook.remove()


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


def test_where_two_trajectories_first_differ(benchmark: Callable[[str], Any]) -> None:
    difference = benchmark('trajectories').difference
    recorded = json.loads((ROOT / 'benchmarks/trajectories.json').read_text())['cases']
    assert recorded.keys() == benchmark('_trajectory_cases').CASES.keys()
    old = recorded['uw']
    changed = copy.deepcopy(old)
    assert difference(old, changed) == ''
    changed['weights'] = '0'
    assert difference(old, changed) == 'weights'
    # One bit of one loss, in the third iteration.
    loss = next(iter(old['losses'][2]))
    value = float.fromhex(old['losses'][2][loss])
    changed['losses'][2][loss] = math.nextafter(value, math.inf).hex()
    changed['losses'].pop()
    said = difference(old, changed).split('; ')
    number = len(old['losses'])
    assert said[0].startswith(f'losses from iteration 3: {loss} {value!r} -> ')
    assert said[1:] == [f'{number} -> {number - 1} iterations', 'weights']
