"""Several configs over several seeds, and the table of what they measure."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console
from toy_run import write_config

from mmgradsplit.studies import train_seeds
from mmgradsplit.studies.seeds import seeds_table

QUIET = Console(quiet=True)


def test_seeds_of_several_configs(tmp_path: Path, made: Callable) -> None:
    """Those of a config begin with its own."""
    paths = [write_config(tmp_path, name=name) for name in ('one', 'other')]
    paths[1].write_text(paths[1].read_text().replace('dict(seed=0)', 'dict(seed=5)'))
    values = [{'error': float(value)} for value in range(7)]
    started = made(dict(one=values, other=values))
    metrics = train_seeds(paths, tmp_path / 'out', repeat=2, console=QUIET)
    assert metrics == dict(one=values[:2], other=values[5:])
    assert started == ['one/seed_0', 'one/seed_1', 'other/seed_5', 'other/seed_6']
    train_seeds(paths[:1], tmp_path / 'out', repeat=3, console=QUIET)
    assert started[4:] == ['one/seed_2']
    with pytest.raises(ValueError, match='must differ'):
        train_seeds([paths[0], paths[0]], tmp_path / 'out')
    with pytest.raises(ValueError, match=r"'one' with another config.*optimizer\.lr was 0\.1"):
        options = {'optim_wrapper.optimizer.lr': 0.2}
        train_seeds(paths[:1], tmp_path / 'out', cfg_options=options)


def test_a_damaged_result_costs_its_own_seed(tmp_path: Path, made: Callable) -> None:
    paths = [write_config(tmp_path, name=name) for name in ('[red]', 'other')]
    made({'[red]': {'error': 2.0}, 'other': {'error': 3.0}})
    train_seeds(paths, tmp_path / 'out', repeat=2, console=QUIET)
    (tmp_path / 'out/[red]/seed_1/result.json').write_text('[' * 100_000)
    console = Console(width=200, file=io.StringIO())
    with pytest.raises(RuntimeError, match=r"\[red\]/seed_1/result.json' is damaged"):
        train_seeds(paths, tmp_path / 'out', repeat=2, console=console)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    cells = [[cell.strip() for cell in line.split('│')[1:-1]] for line in lines if '│' in line]
    assert cells == [['error', '[red]', '2.000', '1'], ['', 'other', '3.000 ± 0.000', '2']]


def test_mixed_precision_is_of_every_config(tmp_path: Path, made: Callable) -> None:
    made(dict(toy={'error': 1.0}))
    train_seeds([write_config(tmp_path)], tmp_path / 'out', repeat=1, amp=True, console=QUIET)
    text = (tmp_path / 'out/toy/seed_0/config.py').read_text()
    assert 'AutocastOptimWrapper' in text or 'AmpOptimWrapper' in text


def test_the_table_of_seeds_has_a_line_for_each_metric_and_run() -> None:
    """Readable with many runs: the sample standard deviation of 1 and 3 is the square root of 2."""
    table = seeds_table(
        dict(
            one=[{'seg/mIoU': 1.0}, {'seg/mIoU': 3.0}], other=[{'seg/mIoU': 5.0, 'depth/rmse': 0.5}]
        )
    )
    assert table.rows == [
        ['seg/mIoU', 'one', '2.000 ± 1.414', '2'],
        ['', 'other', '5.000', '1'],
        ['depth/rmse', 'other', '0.500', '1'],
    ]
