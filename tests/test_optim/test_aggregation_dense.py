"""Aggregators with the heads and losses of the toolboxes, on real files."""

from pathlib import Path

import pytest
from fixtures_dense import dense_config, write_nyud
from fixtures_training import run, scalars

TASKS = ('seg', 'depth', 'normal')


@pytest.mark.parametrize(
    'options',
    [
        dict(aggregator=dict(type='torchjd.PCGrad')),
        dict(aggregator=dict(type='torchjd.GradDrop'), on='features'),
        dict(aggregator=dict(type='torchjd.IMTLG'), on=['layer4.1'], clip_grad=dict(max_norm=1.0)),
    ],
)
def test_a_config_with_one_more_key(options: dict, tmp_path: Path) -> None:
    data = write_nyud(tmp_path / 'data')
    cfg = dense_config('ista_r18_scenes', data, tmp_path / 'run', TASKS)
    cfg.optim_wrapper.update(options)
    run(cfg, tmp_path / 'run')
    lines = [line for line in scalars(tmp_path / 'run') if 'loss' in line]
    assert lines and all(f'{task}/decode.loss' in ' '.join(lines[0]) for task in TASKS), lines[0]
    if options['aggregator']['type'] != 'torchjd.GradDrop':
        assert all(f'aggregator/{task}' in lines[0] for task in TASKS)
