"""What a run shows before its first iteration, and what its log file has."""

import contextlib
import functools
import logging
import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from fixtures_ranks import on_two_ranks
from fixtures_training import load, run, tiny_config, write_data
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.logging import print_log

from mmgradsplit.apis import evaluate
from mmgradsplit.engine.screen import silence_toolboxes
from mmgradsplit.registry import HOOKS
from mmgradsplit.synthetic.pedestrians import make_pedestrians

ROOT = Path(__file__).resolve().parents[2]
SMALL = dict(
    attribute_train=32, attribute_val=2, attribute_test=4, reid_train_ids=8, reid_test_ids=2,
    images_per_id=12, distractors=2, pose_train=24, pose_val=4, parsing_train=16, parsing_val=4,
)  # fmt: skip
TASKS = ('attribute', 'pose', 'parsing')
# attribute's steps hurt pose, and nothing else hurts anything.
CHANGES = [[0.0, -1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
# ResNet-18 with 8 channels in its first stage; layer4 has 64 filters, 3 groups of 21 and one left.
LAYER4 = 64 * 32 * 9 + 64 * 32 + 3 * 64 * 64 * 9
BACKBONE = (
    LAYER4
    + (32 * 16 * 9 + 32 * 16 + 3 * 32 * 32 * 9)
    + (16 * 8 * 9 + 16 * 8 + 3 * 16 * 16 * 9)
    + (4 * 8 * 8 * 9 + 8 * 3 * 7 * 7)
    + 2 * (5 * 64 + 5 * 32 + 5 * 16 + 5 * 8)  # norms
)


@HOOKS.register_module(force=True)
class WarningHook(Hook):
    """A hook of a user's own."""

    def before_train(self, runner: object) -> None:
        print_log('the log of a user', 'current', logging.WARNING)
        warnings.warn('a warning of a user', stacklevel=1)


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp('data'), number=12)


def config(data: Path) -> Config:
    """A run of 3 tasks that shows what it logs."""
    cfg = tiny_config(data, TASKS, log_level='INFO', optim_wrapper__relations=CHANGES)
    cfg.train_cfg.update(max_epochs=1, iters_per_epoch=2)
    cfg.custom_hooks = [dict(type='WarningHook'), dict(type='SummaryHook')]
    return cfg


def before_training(screen: str) -> str:
    head, found, _ = screen.partition('Epoch(train)')
    assert found
    return head


def log_file(work_dir: Path) -> str:
    (path,) = work_dir.glob('*/*.log')
    return path.read_text()


def row(text: str, name: str) -> list[list[str]]:
    """Cells of the rows that begin with a name."""
    lines = [line.strip('| ') for line in text.splitlines() if line.startswith('| ' + name)]
    return [re.split(r' +\| +', line) for line in lines]


def test_first_screen(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    run(config(data), tmp_path / 'run')
    screen = before_training(capsys.readouterr().out)
    assert row(screen, 'attribute') == [
        ['attribute', f'PA100K, {data}/attribute', '12', '4', '12'],
        ['attribute', 'yes', 'yes', 'yes'],
    ]
    assert row(screen, 'pose') == [
        ['pose', f'MpiiDataset, {data}/pose', '12', '4', '12'],
        ['pose', 'no', 'yes', 'yes'],
    ]
    governed, kept = LAYER4 * 63 // 64, LAYER4 * 21 // 64
    share = f"{governed:,} of the backbone's {BACKBONE:,} weights ({governed / BACKBONE:.1%})"
    assert f'governs {share}; {kept:,} are kept from one task or more' in screen
    assert '1 epochs, 2 iterations; validation every 1 epochs' in screen
    assert (
        'GradSplitOptimWrapper with UniformWeighting; Adam, one for each task, lr 0.001' in screen
    )
    (log,) = (tmp_path / 'run').glob('*/*.log')
    assert f'{tmp_path}/run: config ' in screen
    assert str(log.relative_to(tmp_path / 'run')) in screen
    # A user's own warnings appear, and the log has what the screen leaves out.
    assert 'the log of a user' in screen
    assert 'a warning of a user' in {str(each.message) for each in recwarn}
    text = log.read_text()
    for left_out in ('Config:\ncustom_hooks', 'Hooks will be executed', 'per class results'):
        assert left_out in text
        assert left_out not in screen
    assert 'governs' in text
    assert '\x1b' not in text
    cfg = config(data)
    cfg.test_dataloader, cfg.test_evaluator = cfg.val_dataloader, cfg.val_evaluator
    cfg.test_cfg = dict(type='MultiTaskTestLoop')
    metrics = evaluate(cfg, tmp_path / 'run/epoch_1.pth', work_dir=tmp_path / 'test')
    tested = capsys.readouterr().out
    assert row(tested, 'pose')[0] == ['pose', f'MpiiDataset, {data}/pose', '12']
    assert f'Checkpoint: {tmp_path}/run/epoch_1.pth' in tested
    assert metrics


def test_a_resumed_run_says_where_it_stands(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    cfg = config(data)
    run(cfg, tmp_path)
    capsys.readouterr()
    cfg.train_cfg.max_epochs = 2
    cfg.log_level = 'DEBUG'
    run(cfg, tmp_path, resume='auto')
    screen = before_training(capsys.readouterr().out)
    assert 'Hooks will be executed' in screen  # at this level
    assert '2 epochs, 4 iterations, 2 of them done' in screen
    assert 'Training continues from' in screen
    assert load(tmp_path / 'epoch_2.pth')['meta']['iter'] == 4


def test_the_demo_takes_forty_lines(tmp_path: Path) -> None:
    """All that reaches the screen, the toolboxes' own messages at import among it."""
    make_pedestrians(tmp_path / 'data/pedestrians', **SMALL)
    command = [ROOT / 'tools/train.py', ROOT / 'configs/gradsplit/r18gn_4task_demo.py']
    command += ['--cfg-options', 'default_hooks.logger.interval=1']
    screen = ''
    with subprocess.Popen(
        [sys.executable, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=tmp_path,
    ) as training:
        for line in training.stdout or ():
            if 'Epoch(train)' in line:
                break
            screen += line
        training.kill()
    assert len(screen.splitlines()) <= 40, screen
    for task in ('attribute', 'reid', 'pose', 'parsing'):
        assert len(row(screen, task)) == 2, screen
    assert 'work_dirs/r18gn_4task_demo: config r18gn_4task_demo.py' in screen
    assert 'Config:' in log_file(tmp_path / 'work_dirs/r18gn_4task_demo')


def train_rank(data: Path, rank: int, folder: Path) -> None:
    with (
        (folder / f'{rank}.txt').open('w') as screen,
        contextlib.redirect_stdout(screen),
    ):
        cfg = config(data)
        cfg.custom_hooks = []
        run(cfg, folder / 'run', launcher='pytorch')


def test_two_processes_show_it_once(data: Path, tmp_path: Path) -> None:
    on_two_ranks(functools.partial(train_rank, data), tmp_path)
    screen = before_training((tmp_path / '0.txt').read_text())
    assert row(screen, 'pose')[0][3] == '4 x 2'
    assert 'cpu (1 threads), 2 processes' in screen
    assert (tmp_path / '1.txt').read_text() == ''


def test_only_what_is_known_is_silent(capsys: pytest.CaptureFixture) -> None:
    """By text and module."""
    known = 'Default ``avg_non_ignore`` is False, if you would like to ...'
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter('always')
        silence_toolboxes()
        for module in ('mmseg.models.losses.cross_entropy_loss', 'mine'):
            warnings.warn_explicit(known, UserWarning, f'{module}.py', 1, module)
        warnings.warn_explicit('other', UserWarning, 'x.py', 1, 'mmseg.models.losses.x')
    assert [(each.filename, str(each.message)) for each in shown] == [
        ('mine.py', known),
        ('x.py', 'other'),
    ]
    print_log('Could not import OneDL', level=logging.DEBUG)
    print_log('Could not import mine', level=logging.DEBUG)
    assert capsys.readouterr().out == 'Could not import mine\n'
