"""The configs of docs/task_rates.md train, on fewer and smaller pictures."""

from pathlib import Path
from typing import Any

import pytest
from fixtures_dense import write_nyud
from fixtures_docs import write_project
from fixtures_training import named, quick

from mmgradsplit.apis import train
from mmgradsplit.apis.preparation import prepare
from mmgradsplit.synthetic.pedestrians import make_pedestrians

TASKS = ('attribute', 'reid', 'pose', 'parsing')
SMALL = dict(
    attribute_train=4, attribute_val=2, attribute_test=2, reid_train_ids=2, reid_test_ids=2,
    images_per_id=12, distractors=2, pose_train=4, pose_val=2, parsing_train=4, parsing_val=2,
)  # fmt: skip


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def trained(config: str, options: dict[str, Any]) -> str:
    """Train it; returns its log."""
    quiet = {
        'custom_hooks': [],
        'visualizer.vis_backends': [],
        'default_hooks.logger.interval': 1,
        'default_hooks.checkpoint.interval': 100,
        'val_cfg': None,
        'val_dataloader': None,
        'val_evaluator': None,
    }
    cfg = named(prepare(config, cfg_options={**options, **quiet}))
    with quick():
        runner = train(cfg, work_dir='work_dirs/run')
    assert runner.iter
    (log,) = Path('work_dirs/run').glob('*/*.log')
    return log.read_text()


def steps(tasks: tuple[str, ...], **options: Any) -> dict[str, Any]:
    return {f'train_dataloader.{task}.{key}': of for task in tasks for key, of in options.items()}


def test_repeat(project: Path) -> None:
    make_pedestrians(project / 'data/pedestrians', **SMALL)
    options = steps(TASKS, num_workers=0, batch_size=2)
    options.update(steps(('reid',), sampler=dict(batch_size=2, num_instances=2)))
    options['train_cfg'] = dict(max_epochs=1, iters_per_epoch=1)
    log = trained('my_project/rates.py', options)
    rows = [[cell.strip() for cell in line.split('|')] for line in log.splitlines() if '|' in line]
    heading = next(row for row in rows if 'steps' in row)
    said = {row[1]: row[heading.index('steps')] for row in rows[::-1] if len(row) == len(heading)}
    assert {task: said[task] for task in TASKS} == dict(
        attribute='1', reid='1', pose='3', parsing='2'
    )


def test_joined(project: Path) -> None:
    write_nyud(project / 'data/scenes', number=8, size=(120, 160))  # half of it is for training
    options = {
        'train_dataloader.num_workers': 0,
        'train_dataloader.batch_size': 2,
        'train_dataloader.dataset.datasets.0.dataset.indices': 1,
        'train_dataloader.dataset.datasets.1.indices': -3,
        'train_cfg.max_epochs': 1,
        'model.backbone.base_channels': 4,
        'model.backbone.stem_channels': 4,
        'model.tasks.seg.decode_head.in_channels': 32,
        'model.tasks.depth.decode_head.head.in_channels': 32,
    }
    log = trained('my_project/joined.py', options)
    assert '2 x NYUv2, data/scenes (2) + NYUv2, data/scenes (3)' in log
    assert 'seg/decode.loss_ce' in log and 'depth/decode.loss_regression' in log
