"""The report on a run of a second, and on work dirs written by hand."""

import csv
import json
import math
import re
import runpy
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from fixtures_reports import REFERENCES, shown, write_run
from fixtures_training import ALL, SIZE, load, run, scalars, tiny_config, write_data
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from toy_joint import TASKS, joint_config
from toy_weighting import AMTL
from toy_weighting import config as weighted_config

from mmgradsplit.studies.report_runs import find_runs, read_run
from mmgradsplit.visualization import Plot, draw_curves

RUNNING = re.compile(r'running_(mean|var)$|num_batches_tracked$')
ROOT = Path(__file__).resolve().parents[2]


# ---- a run ----


@pytest.fixture(scope='module')
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('trained')
    references = {'attribute/MA': 50.0, 'reid/mAP': 40.0, 'pose/PCK': 20.0, 'parsing/mIoU': 30.0}
    cfg = tiny_config(
        write_data(folder / 'data'),
        val_cfg__references=references,
        custom_hooks=[dict(type='SummaryHook')],
    )
    for task in ('attribute', 'reid', 'parsing'):  # the size of the images, for #FLOPs
        resize = dict(type='Resize', scale=(SIZE, SIZE))
        cfg.val_dataloader[task].dataset.pipeline.insert(1, resize)
    run(cfg, folder / 'run')
    return folder / 'run'


def test_a_real_run(trained: Path, tmp_path: Path) -> None:
    (row,), text = shown(trained, out=tmp_path / 'report')
    summary = json.loads((trained / 'summary.json').read_text())['trained']
    log = [line for line in scalars(trained) if 'iter' in line]
    assert len(log) == 6
    assert row.name == 'run'
    assert row.state == 'finished'
    for name, value in summary.items():
        assert row.values(name) == [value]
    assert row.values('time (s)') == [np.median([line['time'] for line in log])]
    (read,) = row.runs
    for task in ALL:
        assert list(read.losses[f'{task}/loss'].values()) == [x[f'{task}/loss'] for x in log]
        assert list(read.losses[f'{task}/loss']) == [1, 2, 3, 4, 5, 6]
    assert list(read.history['pose/PCK']) == [0, 3, 6]  # untrained, and after each epoch
    assert read.history['pose/PCK'][6] == summary['pose/PCK']
    state = load(trained / 'epoch_2.pth')['state_dict']
    parameters = sum(v.numel() for k, v in state.items() if not RUNNING.search(k))
    assert row.values('#Param (M)') == [parameters / 1e6]
    assert row.values('#FLOPs (G)')[0] > 0
    for name in ('attribute', 'mAP', 'PCK', 'mIoU', 'delta_m', f'{summary["delta_m"]:.2f}'):
        assert name in text

    (line,) = csv.DictReader((tmp_path / 'report/report.csv').open())
    assert {name: float(line[name]) for name in summary} == summary
    markdown = (tmp_path / 'report/report.md').read_text()
    assert f'| {summary["reid/mAP"]:.2f} |' in ' '.join(markdown.split())
    assert 'curves.png' in markdown
    assert (tmp_path / 'report/curves.png').stat().st_size > 10_000


def test_a_run_written_by_hand(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path / 'mine', seed=5))
    assert (run.name, run.config_name, run.seed, run.state) == ('mine', 'net', 5, 'finished')
    assert run.main_metrics == ['pose/PCK', 'depth/rmse']
    assert run.metrics['pose/PCK'] == 60.0
    assert run.seconds == pytest.approx(0.1 * np.median(range(5, 45, 5)))
    assert run.losses['pose/loss'] == {step: 1 / step for step in range(5, 45, 5)}
    assert set(run.losses) == {'pose/loss', 'depth/loss'}
    assert run.history['pose/PCK'] == {0: 2.0, 10: 10.0, 20: 20.0, 30: 30.0, 40: 40.0}


def test_the_losses_of_all_tasks_and_their_sum(tmp_path: Path) -> None:
    """As of Mask R-CNN in STA, whose tasks share one joint step."""
    names = ['loss', 'det/loss', 'mask/loss']
    logged = dict.fromkeys([*names, 'mask/loss_mask', 'base_lr'], 2.0)
    run = read_run(write_run(tmp_path / 'sta', logged=logged, loss=1.0))
    for name in names:
        assert run.losses[name] == {step: 2.0 * step for step in range(5, 45, 5)}
    assert set(run.losses) == {*names, 'pose/loss', 'depth/loss'}
    assert run.weights == {}


def test_a_resumed_run_is_read_from_all_its_logs(tmp_path: Path) -> None:
    folder = write_run(tmp_path / 'mine', loss=1.0, epochs=3)
    write_run(tmp_path / 'other', loss=2.0, stamp='20260101_000001', load_from='epoch_1.pth')
    later = tmp_path / 'other/20260101_000001'
    log = later / 'vis_data/scalars.json'
    log.write_text('\n'.join(log.read_text().splitlines()[3:]))  # from the second epoch on
    later.rename(folder / later.name)
    (folder / 'summary.json').unlink()
    run = read_run(folder)
    assert run.losses['pose/loss'] == {
        step: (1 if step <= 10 else 2) / step for step in range(5, 45, 5)
    }
    assert run.metrics == {'pose/PCK': 40.0, 'depth/rmse': 9.0}  # of the last validation
    assert run.state == 'finished'


def test_trainings_of_many_seeds_have_a_result(tmp_path: Path) -> None:
    """As tools/train_seeds.py leaves them: validated once, no summary."""
    folder = write_run(tmp_path / 'net/seed_7', seed=7)
    (folder / 'summary.json').unlink()
    (folder / 'result.json').write_text(json.dumps(dict(seed=7, metrics={'pose/PCK': 71.0})))
    run = read_run(folder)
    assert (run.name, run.metrics, run.state) == ('net', {'pose/PCK': 71.0}, 'finished')


def test_runs_that_count_in_iterations(tmp_path: Path) -> None:
    hooks = dict(logger=dict(log_metric_by_epoch=False))
    states = {}
    for name, most in (('short', 40), ('long', 41)):
        folder = write_run(
            tmp_path / name, train_cfg=dict(max_iters=most), references={}, default_hooks=hooks
        )
        run = read_run(folder)
        assert list(run.history['pose/PCK']) == [0, 10, 20, 30, 40]
        states[name] = run.state
    assert states == dict(short='finished', long='unfinished: iteration 40 of 41')


# ---- rows ----


def test_seeds_are_one_row_with_mean_and_spread(tmp_path: Path) -> None:
    values = [60.0, 64.0, 59.0]
    for seed, value in enumerate(values):
        write_run(tmp_path / f'study/net/seed_{seed}', seed, value)
    (row,), text = shown(tmp_path / 'study', out=tmp_path / 'out')
    assert row.name == 'net'
    assert f'{np.mean(values):.2f} ± {np.std(values, ddof=1):.2f}' in text
    (line,) = csv.DictReader((tmp_path / 'out/report.csv').open())
    assert float(line['pose/PCK']) == pytest.approx(np.mean(values))
    assert float(line['pose/PCK std']) == pytest.approx(np.std(values, ddof=1))
    assert line['seeds'] == '0 1 2'


def test_runs_that_differ_in_the_seed_alone_are_one_row_wherever_they_are(tmp_path: Path) -> None:
    folders = [
        write_run(tmp_path / 'a', 0),
        write_run(tmp_path / 'b', 1),
        write_run(tmp_path / 'lower', 0, optim_wrapper=dict(threshold=-0.05)),
        write_run(tmp_path / 'again', 1),
    ]
    rows, _ = shown(*folders)
    assert [(row.name, [r.seed for r in row.runs]) for row in rows] == [
        ('net', [0, 1]), ('lower', [0]), ('again', [1]),
    ]  # fmt: skip


def test_rows_of_one_name_are_told_apart(tmp_path: Path) -> None:
    """A folder named by the time says nothing: its run is called like its config."""
    stamps = ('20260101_000000', '20260101_000001')
    for i, stamp in enumerate(stamps):
        write_run(tmp_path / stamp, extra=i)
    rows, _ = shown(tmp_path / stamps[0])
    assert [row.name for row in rows] == ['net']
    rows, _ = shown(tmp_path)
    assert [row.name for row in rows] == [str(tmp_path / stamp) for stamp in stamps]


# ---- acc_mtl and delta_m ----


def test_what_sums_up_is_no_task_and_stands_behind_the_metrics(tmp_path: Path) -> None:
    sums = {'acc_mtl': 0.12346, 'delta_m': -3.0}
    folder = write_run(tmp_path / 'run', trained=sums, references={})
    assert read_run(folder).main_metrics == ['pose/Elbow PCK', 'depth/rmse']
    (row,), text = shown(folder, out=tmp_path / 'out')
    assert row.values('acc_mtl') == [0.12346]
    assert '0.1235' in text
    header = (tmp_path / 'out/report.md').read_text().splitlines()[0]
    columns = [cell.strip() for cell in header.strip('|').split('|')]
    assert columns[:5] == ['run', 'pose/Elbow PCK', 'depth/rmse', 'acc_mtl', 'delta_m']


def test_all_metrics_that_the_references_name_are_shown(tmp_path: Path) -> None:
    references = {**REFERENCES, 'pose/Elbow PCK': 4.0}
    run = write_run(tmp_path / 'run', references=references)
    # A config that is written to a file has its keys sorted.
    assert read_run(run).main_metrics == ['pose/Elbow PCK', 'pose/PCK', 'depth/rmse']
    single = write_run(tmp_path / 'single', references={'pose/PCK': 1.0, 'pose/Elbow PCK': 1.0})
    summary = json.loads((single / 'summary.json').read_text())
    summary['trained'] = {'pose/PCK': 50.0, 'pose/Elbow PCK': 4.0}
    (single / 'summary.json').write_text(json.dumps(summary))
    (row,), _ = shown(run, references=[single, 'depth/rmse=0.5'])
    # pose: 60 for 50 and 1 for 4; depth: 0.6 for 0.5.
    assert row.values('delta_m') == [pytest.approx(((20 - 75) / 2 - 20) / 2)]
    assert row.values('acc_mtl') == [pytest.approx(((0.6 * 0.01) ** 0.5 / 0.6) ** 0.5)]


def test_delta_m_against_values(tmp_path: Path) -> None:
    run = write_run(tmp_path / 'run', pose=66.0, depth=0.9)
    (row,), text = shown(run, references=['pose/PCK=60', 'depth/rmse=0.6'])
    assert row.values('delta_m') == [pytest.approx((10 - 50) / 2)]  # lower is better for rmse
    assert row.values('acc_mtl') == [pytest.approx((0.66 / 0.9) ** 0.5)]
    assert 'relative to pose/PCK 60.00, depth/rmse 0.60 (lower is better).' in text


def test_the_direction_of_a_metric_is_that_of_any_config(tmp_path: Path) -> None:
    """Of a row, or of a reference; else higher is better."""
    told = write_run(tmp_path / 'told')
    silent = write_run(tmp_path / 'silent', pose=66.0, depth=0.9, references={'pose/PCK': 1.0})
    values = ['pose/PCK=60', 'depth/rmse=0.6']
    (_, row), _ = shown(told, silent, references=values)
    assert row.values('delta_m') == [pytest.approx((10 - 50) / 2)]
    (row,), text = shown(silent, references=values)
    assert row.values('delta_m') == [pytest.approx((10 + 50) / 2)]
    assert 'lower is better' not in text
    single = write_run(
        tmp_path / 'single', references={'depth/rmse': dict(value=1.0, lower_is_better=True)}
    )
    summary = json.loads((single / 'summary.json').read_text())
    (single / 'summary.json').write_text(json.dumps(summary | dict(trained={'depth/rmse': 0.6})))
    (row,), _ = shown(silent, references=['pose/PCK=60', single])
    assert row.values('delta_m') == [pytest.approx((10 - 50) / 2)]


def test_delta_m_against_single_task_runs(tmp_path: Path) -> None:
    """The mean over their seeds; where a task has no reference, there is no delta_m."""
    single = dict(references={'pose/PCK': 80.0}, train='pose')
    for seed, pose in enumerate((50.0, 60.0)):
        folder = write_run(tmp_path / f'single/seed_{seed}', seed, pose, **single)
        summary = json.loads((folder / 'summary.json').read_text())
        (folder / 'summary.json').write_text(json.dumps(summary | dict(trained={'pose/PCK': pose})))
    both = write_run(tmp_path / 'both', pose=66.0, depth=0.9)
    (row, _), _ = shown(both, tmp_path / 'single', references=[tmp_path / 'single'])
    assert row.values('delta_m') == []
    (row, one), _ = shown(
        both, tmp_path / 'single', references=[tmp_path / 'single', 'depth/rmse=0.6']
    )
    assert row.values('delta_m') == [pytest.approx((100 * (66 - 55) / 55 - 50) / 2)]
    assert np.mean(one.values('delta_m')) == pytest.approx(0)


def test_references_that_are_none(tmp_path: Path) -> None:
    run = write_run(tmp_path / 'run')
    stopped = write_run(tmp_path / 'stopped', epochs=2)
    for reference, message in (
        ('pose/PCK=good', "'pose/PCK=good' is not task/metric=number"),
        (run, r"run' is of the tasks \['pose/PCK', 'depth/rmse'\], not a finished single-task"),
        (stopped, r"stopped' is unfinished: epoch 2 of 4, not a finished single-task run"),
    ):
        with pytest.raises(ValueError, match=message):
            shown(run, references=[reference])


def test_configs_with_different_references_are_told(tmp_path: Path) -> None:
    rows = []
    for name, value in (('a', 80.0), ('b', 70.0)):
        folder = write_run(tmp_path / name, references={'pose/PCK': value})
        summary = json.loads((folder / 'summary.json').read_text())
        summary['trained']['delta_m'] = 3.0
        (folder / 'summary.json').write_text(json.dumps(summary))
        rows.append(folder)
    assert 'cannot be compared' not in shown(rows[0])[1]
    _, text = shown(*rows)
    assert 'cannot be compared' in text
    assert 'pose/PCK' in text.split('cannot be compared')[1]


# ---- what went wrong ----


def test_runs_that_went_wrong_are_marked_and_the_others_stay(tmp_path: Path) -> None:
    good = write_run(tmp_path / 'good')
    folders = [
        good,
        write_run(tmp_path / 'stopped', epochs=2),
        write_run(tmp_path / 'diverged', loss=math.nan),
        write_run(tmp_path / 'lost', pose=None),
    ]
    rows, text = shown(*folders, out=tmp_path / 'out')
    assert [row.state for row in rows] == [
        'finished',
        'unfinished: epoch 2 of 4',
        'diverged: pose/loss is nan at iteration 5',
        'pose/PCK is not finite',
    ]
    for row in rows:
        assert row.state in ' '.join(text.split())


def test_seeds_that_went_wrong_do_not_count(tmp_path: Path) -> None:
    for seed, options in enumerate((dict(pose=50.0), dict(pose=70.0), dict(pose=9.0, epochs=1))):
        write_run(tmp_path / f'net/seed_{seed}', seed, **options)
    (row,), _ = shown(tmp_path / 'net')
    assert row.values('pose/PCK') == [50.0, 70.0]
    assert row.state == '2 of 3 finished (seed 2: unfinished: epoch 1 of 4)'


def test_the_line_at_which_a_run_was_killed_is_left_out(tmp_path: Path) -> None:
    folder = write_run(tmp_path / 'killed')
    (log,) = folder.glob('*/vis_data/scalars.json')
    text = log.read_text()
    log.write_text(text + '\n{"pose/loss": 0.0')
    assert max(read_run(folder).losses['pose/loss']) == 40
    log.write_text('{"pose/loss"\n' + text)
    with pytest.raises(ValueError, match=r'line 1 of .*scalars\.json. is no JSON'):
        read_run(folder)


def test_folders_that_cannot_be_read_are_named_and_left_out(tmp_path: Path) -> None:
    good, damaged = write_run(tmp_path / 'good'), write_run(tmp_path / 'damaged')
    (damaged / 'summary.json').write_text('{')
    bare = write_run(tmp_path / 'bare')
    next(bare.glob('*/vis_data/config.py')).unlink()
    (tmp_path / 'empty').mkdir()
    rows, text = shown(good, damaged, bare, tmp_path / 'empty', tmp_path / 'none')
    text = text.replace('\n', '')
    assert [row.name for row in rows] == ['good']
    assert "summary.json' is no JSON" in text
    assert "config.json' is missing" in text
    assert "empty' is no work dir" in text
    assert "none' is no folder" in text
    with pytest.raises(FileNotFoundError, match=r'no run to report on.*empty'):
        shown(tmp_path / 'empty')


def test_work_dirs_are_found_below_a_folder(tmp_path: Path) -> None:
    folders = [write_run(tmp_path / name) for name in ('a/seed_0', 'a/seed_1', 'b')]
    assert find_runs(tmp_path) == folders
    assert find_runs(tmp_path / 'a') == folders[:2]
    assert find_runs(folders[2]) == folders[2:]


# ---- the tool and the picture ----


def test_tool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    write_run(tmp_path / 'run')
    tool = str(ROOT / 'tools/analysis_tools/report.py')
    arguments = [tmp_path / 'run', '--out', tmp_path / 'out', '--references', 'pose/PCK=50',
                 'depth/rmse=0.6']  # fmt: skip
    monkeypatch.setattr(sys, 'argv', [tool, *map(str, arguments)])
    runpy.run_path(tool, run_name='__main__')
    assert sorted(path.name for path in (tmp_path / 'out').iterdir()) == [
        'curves.png', 'report.csv', 'report.md',
    ]  # fmt: skip
    assert '60.00' in capsys.readouterr().out
    assert '10.00' in (tmp_path / 'out/report.md').read_text()  # delta_m


def drawn(monkeypatch: pytest.MonkeyPatch, *work_dirs: Path) -> dict[str, list]:
    """What the picture of a report shows: the points of all lines, by the plot's title."""
    figures: list[Figure] = []
    module = import_module('mmgradsplit.studies.report')  # the package has a function of this name
    monkeypatch.setattr(module, 'save_figure', lambda figure, path: figures.append(figure))
    shown(*work_dirs, out=work_dirs[0] / 'report')
    return {
        axes.get_title(loc='left'): [line.get_xydata().tolist() for line in axes.lines]  # type: ignore[union-attr]
        for axes in figures[0].axes
    }


def test_weights_are_drawn_where_there_are_any(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = {'weight/pose': 0.5, 'weight/depth': 0.25, 'aggregator/pose': 2.0}
    names = ['plain', 'joint', 'in_turn']
    logged = [{}, both, {'weight/pose': 0.125, 'pose/weight_decay': 9.0}]
    plain, joint, in_turn = (
        write_run(tmp_path / name, logged=values, name=name)
        for name, values in zip(names, logged, strict=True)
    )
    usual = ['pose/loss', 'depth/loss', 'pose/PCK', 'depth/rmse']
    assert list(drawn(monkeypatch, plain)) == usual
    plots = drawn(monkeypatch, plain, joint, in_turn)
    assert list(plots) == [*usual, 'weight/pose', 'weight/depth', 'aggregator/pose']
    steps = range(5, 45, 5)
    assert plots['weight/pose'] == [[[x, x / 2] for x in steps], [[x, x / 8] for x in steps]]
    assert plots['weight/depth'] == [[[x, x / 4] for x in steps]]
    assert plots['aggregator/pose'] == [[[x, 2 * x] for x in steps]]


def test_the_weights_of_real_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """AMTL's in joint training, above PCGrad, and in task steps."""
    joint, in_turn = (weighted_config(tmp_path, AMTL, validated=True) for _ in range(2))
    joint.optim_wrapper.type = 'AggregatorOptimWrapper'
    joint.optim_wrapper.aggregator = dict(type='torchjd.PCGrad')
    in_turn.train_dataloader = dict.fromkeys(TASKS, joint_config(tmp_path).train_dataloader)
    in_turn.train_cfg = dict(type='RoundRobinTrainLoop', max_epochs=2, iters_per_epoch=3)
    run(joint, tmp_path / 'joint')
    run(in_turn, tmp_path / 'in_turn')
    plots = drawn(monkeypatch, tmp_path / 'joint', tmp_path / 'in_turn')
    logs = [
        [line for line in scalars(tmp_path / name) if 'add/loss' in line]
        for name in ('joint', 'in_turn')
    ]
    for task in TASKS:
        assert plots[f'weight/{task}'] == [
            [[line['iter'], line[f'weight/{task}']] for line in logs[0]],
            [[line['iter'], line[f'weight/{task}']] for line in logs[1]],
        ]
        assert plots[f'aggregator/{task}'] == [
            [[line['iter'], line[f'aggregator/{task}']] for line in logs[0]]
        ]


def test_curves_show_the_values_one_line_a_run_one_colour_a_name() -> None:
    lines = {'a': [{1: 1.0, 2: 0.1}, {1: 2.0, 2: 0.2}], 'b': [{1: 3.0, 4: 0.3}]}
    figure = draw_curves([[Plot('loss', lines, log=True)], [Plot('PCK', {'a': [{0: -1.0}]})]])
    losses, metrics = figure.axes
    assert (losses.get_title(loc='left'), metrics.get_title(loc='left')) == ('loss', 'PCK')
    drawn = [line.get_xydata().tolist() for line in losses.lines]  # type: ignore[union-attr]
    assert drawn == [[[1, 1], [2, 0.1]], [[1, 2], [2, 0.2]], [[1, 3], [4, 0.3]]]
    colours = [to_hex(line.get_color()) for line in losses.lines]
    assert colours[0] == colours[1] != colours[2]
    assert losses.get_yscale() == 'log'
    assert metrics.get_yscale() == 'linear'
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ['a', 'b']
    with pytest.raises(ValueError, match='no loss and no metric'):
        draw_curves([[], []])
