"""A minute's worth of each campaign of ``tests/fuzz`` on checkpoints, which go on for hours."""

import itertools
from pathlib import Path

import pytest
import torch
from fixtures_training import write_data
from fuzz import flips, foreign, kills


@pytest.fixture(scope='module', autouse=True)
def imported(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What a run imports, so that the forked processes need not."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp('first')
    kills.run(kills.setup('aggregator, accumulating', folder), folder / 'run')


@pytest.mark.parametrize(
    ('name', 'moments'),
    [
        # Within an accumulation.
        ('plain in turn, accumulating', [('step', 4), ('iteration', 4)]),
        ('aggregator, accumulating', [('step', 4), ('iteration', 4)]),
        # Before a validation.
        ('plateau', [('step', 4), ('validation', 0)]),
        # When a new checkpoint is there, and the old one still as well.
        ('best', [('remove', 0), ('remove', 0)]),
        # Two hooks write into one folder, within an accumulation.
        ('both kinds', [('step', 3), ('step', 1)]),
    ],
)
def test_killed_runs_end_as_others(
    name: str, moments: list[tuple[str, int]], tmp_path: Path
) -> None:
    kills.try_setup(name, 2, itertools.cycle(moments), tmp_path)


def test_no_flipped_bit_is_silent(tmp_path: Path) -> None:
    found = flips.try_flips(tmp_path, 40, seed=1)
    assert not [what for what in found if 'silent' in what or 'late' in what]
    assert found['pth: found'] > 10 and found['safetensors: found'] > 10


def test_no_foreign_checkpoint_is_silent(tmp_path: Path) -> None:
    data = write_data(tmp_path / 'data')
    for name in foreign.FOREIGN:
        assert 'foreign.pth' in foreign.try_foreign(name, 'predict', data, tmp_path), name
    for reader in ('test', 'start', 'resume'):
        assert 'foreign.pth' in foreign.try_foreign('wider', reader, data, tmp_path), reader
