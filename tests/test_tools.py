"""Command line tools and the functions behind them, on a toy model."""

import json
import os
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import mmengine.runner
import pytest
import torch
from mmengine.config import Config
from toy_run import write_config
from toy_weighting import AMTL, SINGLE
from toy_weighting import config as weighted_config

from mmgradsplit.apis import evaluate, load_model, preparation, train
from mmgradsplit.apis.checkpoints import newest_checkpoint
from mmgradsplit.apis.preparation import prepare

ROOT = Path(__file__).resolve().parent.parent


def weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    return torch.load(checkpoint, weights_only=False)['state_dict']


def same_weights(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def same(one: Path, other: Path) -> bool:
    return same_weights(weights(one), weights(other))


def call_script(*command: object, **environment: str) -> subprocess.CompletedProcess:
    """Run a shell script of tools/ with this Python and the toy model."""
    path = os.pathsep.join([str(ROOT / 'tests'), str(ROOT), os.getenv('PYTHONPATH', '')])
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ['PATH']])
    environment = {'PYTHONPATH': path, 'PATH': programs, 'OMP_NUM_THREADS': '1', **environment}
    return subprocess.run(
        ['bash', *map(str, command)],
        env=dict(os.environ, **environment),
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope='module')
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The working directory of a run of four epochs."""
    folder = tmp_path_factory.mktemp('finished')
    train(write_config(folder, epochs=4, name='whole'), work_dir=folder / 'run')
    return folder / 'run'


@pytest.fixture
def stopped(finished: Path, tmp_path: Path) -> Path:
    """The working directory of that run as it was after two epochs."""
    work_dir = tmp_path / 'run'
    work_dir.mkdir()
    for name in ('epoch_1.pth', 'epoch_2.pth'):
        shutil.copy(finished / name, work_dir)
    (work_dir / 'last_checkpoint').write_text(str(work_dir / 'epoch_2.pth'))
    return work_dir


@pytest.fixture
def run_tool(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Runs a tool of tools/ in this process."""
    monkeypatch.delenv('LOCAL_RANK', raising=False)

    def run(name: str, *arguments: object) -> None:
        monkeypatch.setattr(sys, 'argv', [name, *map(str, arguments)])
        runpy.run_path(str(ROOT / 'tools' / name), run_name='__main__')

    return run


def test_train_tool_and_test_tool(tmp_path: Path, run_tool: Callable[..., None]) -> None:
    config = write_config(tmp_path, epochs=5)
    run_tool(
        'train.py', config, '--work-dir', tmp_path / 'run',
        '--cfg-options', 'train_cfg.max_epochs=2', '--no-validate',
    )  # fmt: skip
    checkpoint = newest_checkpoint(tmp_path / 'run')
    assert checkpoint == tmp_path / 'run' / 'epoch_2.pth'

    out = tmp_path / 'results' / 'metrics.json'
    run_tool('test.py', config, checkpoint, '--work-dir', tmp_path / 'test', '--out', out)
    state = weights(checkpoint)
    points = [torch.randn(3, generator=torch.Generator().manual_seed(i)) for i in range(8)]
    errors = [
        (state['linear.weight'][0] @ x + state['linear.bias'] - x.sum()).abs() for x in points
    ]
    assert json.loads(out.read_text())['error'] == pytest.approx(float(sum(errors)) / 8, rel=1e-4)


def test_what_amtl_refers_to_is_needed_for_training_alone(
    tmp_path: Path, run_tool: Callable[..., None]
) -> None:
    """The folders of its single-task runs are not there where a network is only tested or used."""
    weighting = dict(AMTL, references=dict.fromkeys(SINGLE, str(tmp_path / 'not_run')))
    cfg = weighted_config(tmp_path, weighting, validated=True)
    cfg.test_dataloader, cfg.test_cfg, cfg.test_evaluator = (
        cfg.val_dataloader, cfg.val_cfg, cfg.val_evaluator
    )  # fmt: skip
    config, run, out = tmp_path / 'amtl.py', tmp_path / 'run', tmp_path / 'metrics.json'
    cfg.dump(config)
    with pytest.raises(
        FileNotFoundError, match=r"weighting\.references: '.*/not_run' for 'add/acc"
    ):
        run_tool('train.py', config, '--work-dir', tmp_path / 'none', '--debug')

    # By another method, in place of the config's.
    run_tool('train.py', config, '--work-dir', run, '--method', 'uw', '--no-validate')
    saved = torch.load(run / 'epoch_2.pth', weights_only=False)
    assert 'scalarizer.log_var' in saved['optimizer']['weighting']
    assert Config.fromfile(run / 'amtl.py').method == 'uw'

    run_tool('test.py', config, run / 'epoch_2.pth', '--work-dir', tmp_path / 'test', '--out', out)
    assert set(json.loads(out.read_text())) == set(SINGLE)
    model = load_model(config, run / 'epoch_2.pth', device='cpu')
    assert same_weights(model.state_dict(), saved['state_dict'])


def test_two_processes_on_the_cpu_equal_one_on_the_joined_batch(tmp_path: Path) -> None:
    result = call_script(
        ROOT / 'tools/dist_train.sh', write_config(tmp_path, batch_size=2), 2,
        '--work-dir', tmp_path / 'two', '--cfg-options', 'log_level=INFO',
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert 'gloo' in result.stdout + result.stderr
    joined = write_config(tmp_path, batch_size=4, name='joined')
    train(joined, work_dir=tmp_path / 'one')
    two, one = weights(tmp_path / 'two/epoch_2.pth'), weights(tmp_path / 'one/epoch_2.pth')
    for name in one:
        torch.testing.assert_close(two[name], one[name])


@pytest.mark.parametrize('script', ['dist_train.sh', 'dist_test.sh', 'slurm_train.sh'])
def test_scripts_say_how_they_are_called(script: str) -> None:
    result = call_script(ROOT / 'tools' / script)
    assert result.returncode == 2
    assert f'tools/{script}' in result.stderr


def test_work_dir_is_named_after_the_config(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    assert prepare(config).work_dir == 'work_dirs/toy'
    assert prepare(config, cfg_options={'work_dir': 'mine'}).work_dir == 'mine'
    assert prepare(config, tmp_path, {'work_dir': 'mine'}).work_dir == str(tmp_path)


def test_missing_names_are_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r'no config file .*nowhere\.py'):
        train(tmp_path / 'nowhere.py')
    with pytest.raises(FileNotFoundError, match=r'no checkpoint .*none\.pth'):
        evaluate(write_config(tmp_path), tmp_path / 'none.pth')
    with pytest.raises(ValueError, match='work_dir'):
        prepare(Config({'model': {}}))


def test_a_config_object_is_left_as_it_is(tmp_path: Path) -> None:
    cfg = Config.fromfile(write_config(tmp_path, epochs=1))
    before = cfg.pretty_text
    train(cfg, work_dir=tmp_path / 'run', amp=True, validate=False)
    assert cfg.pretty_text == before


# What a kill may leave of ``last_checkpoint``: none, an empty one, one that names a file that is
# gone, one that is behind.
@pytest.mark.parametrize('hint', [None, '', 'gone/epoch_9.pth', 'epoch_1.pth'])
def test_resume_takes_the_newest_whole_checkpoint(
    finished: Path, stopped: Path, hint: str | None
) -> None:
    last = stopped / 'last_checkpoint'
    if hint is None:
        last.unlink()
    else:
        last.write_text(str(stopped / hint) if hint else '')
    whole = (stopped / 'epoch_2.pth').read_bytes()
    (stopped / 'epoch_3.pth').write_bytes(whole[: len(whole) * 2 // 3])
    (stopped / 'epoch_4.pth.tmp').write_bytes(whole)
    assert newest_checkpoint(stopped) == stopped / 'epoch_2.pth'

    runner = train(write_config(stopped, epochs=4), work_dir=stopped, resume='auto')
    assert runner._load_from == str(stopped / 'epoch_2.pth')
    assert same(stopped / 'epoch_4.pth', finished / 'epoch_4.pth')


def test_checkpoints_are_ordered_by_number(stopped: Path) -> None:
    shutil.copy(stopped / 'epoch_2.pth', stopped / 'epoch_10.pth')
    os.utime(stopped / 'epoch_10.pth', (0, 0))
    assert newest_checkpoint(stopped) == stopped / 'epoch_10.pth'


def test_a_checkpoint_named_otherwise_is_found(stopped: Path) -> None:
    shutil.move(stopped / 'epoch_2.pth', stopped / 'mine.pth')
    (stopped / 'epoch_1.pth').unlink()
    (stopped / 'last_checkpoint').write_text(str(stopped / 'mine.pth'))
    assert newest_checkpoint(stopped) == stopped / 'mine.pth'


def test_resume_from_a_named_checkpoint(finished: Path, stopped: Path, tmp_path: Path) -> None:
    config = write_config(tmp_path, epochs=4)
    train(config, work_dir=tmp_path / 'other', resume=stopped / 'epoch_1.pth')
    assert same(tmp_path / 'other/epoch_4.pth', finished / 'epoch_4.pth')

    with pytest.raises(FileNotFoundError, match=r'--resume: no checkpoint'):
        train(config, work_dir=tmp_path / 'other', resume=stopped / 'epoch_7.pth')
    (stopped / 'epoch_1.pth').write_bytes(b'half')
    with pytest.raises(ValueError, match='is damaged: it does not end'):
        train(config, work_dir=tmp_path / 'other', resume=stopped / 'epoch_1.pth')


def test_resume_with_nothing_there_starts_anew(
    finished: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train(write_config(tmp_path, epochs=4), work_dir=tmp_path / 'run', resume='auto')
    assert same(tmp_path / 'run/epoch_4.pth', finished / 'epoch_4.pth')


def test_nothing_is_overwritten(stopped: Path, tmp_path: Path) -> None:
    config = write_config(tmp_path)
    with pytest.raises(FileExistsError, match=r'epoch_2\.pth.*--resume.*--work-dir'):
        train(config, work_dir=stopped)
    for path in stopped.glob('*.pth'):
        path.write_bytes(b'half')
    with pytest.raises(ValueError, match='none of the checkpoints'):
        train(config, work_dir=stopped, resume='auto')


def test_no_validate(tmp_path: Path) -> None:
    runner = train(write_config(tmp_path), work_dir=tmp_path / 'run', validate=False)
    assert runner.val_loop is None


def test_amp_trains_in_bfloat16_on_the_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparation, 'get_device', lambda: 'cpu')
    config = write_config(tmp_path)
    runner = train(config, work_dir=tmp_path / 'run', amp=True, validate=False)
    assert set(runner.model.dtypes) == {torch.bfloat16}
    assert {p.dtype for p in runner.model.parameters()} == {torch.float32}


def test_launchers_that_need_a_gpu_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparation, 'get_device', lambda: 'cpu')
    monkeypatch.setattr(mmengine.runner.Runner, 'from_cfg', None)
    with pytest.raises(ValueError, match='--launcher slurm: without a GPU'):
        train(write_config(tmp_path), work_dir=tmp_path / 'run', launcher='slurm')
    with pytest.raises(ValueError, match=r'sync_bn=.*need a GPU'):
        options = dict(sync_bn='torch')
        config = write_config(tmp_path)
        train(config, work_dir=tmp_path / 'run', launcher='pytorch', cfg_options=options)
