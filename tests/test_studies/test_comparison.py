"""Methods compared by trainings over seeds: single-task networks first, each training once."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from fixtures_training import build, scalars, tiny_config
from mmengine.config import Config
from mmengine.runner import Runner
from rich.console import Console
from toy import begin, task_step
from toy_weighting import SINGLE
from toy_weighting import config as toy_config

from mmgradsplit.apis.methods import method_names
from mmgradsplit.studies import compare_methods
from mmgradsplit.synthetic.pedestrians import make_pedestrians

TASKS = ['attribute', 'parsing']
METRICS = ['attribute/MA', 'parsing/mIoU']
DEMO = Path(__file__).resolve().parents[2] / 'configs/gradsplit/r18gn_4task_demo.py'


def config(data: Path, **options: Any) -> Config:
    cfg = tiny_config(data, TASKS, **options)
    cfg.train_cfg.update(max_epochs=1, iters_per_epoch=1)
    return cfg


def compare(
    cfg: Config | Path, out: Path, methods: list[str] | None, **options: Any
) -> dict[str, Any]:
    options.setdefault('accuracies', METRICS)
    path = compare_methods(cfg, out, methods=methods, console=Console(quiet=True), **options)
    return json.loads(path.read_text())


def written(out: Path, name: str, seed: int = 0) -> Config:
    """The config that a training had."""
    return Config.fromfile(out / f'{name}/seed_{seed}/config.py')


def metrics(attribute: float, parsing: float) -> dict[str, float]:
    return dict(zip(METRICS, (attribute, parsing), strict=True))


ALONE = dict(
    attribute=[{'attribute/MA': 40.0}, {'attribute/MA': 60.0}],
    parsing=[{'parsing/mIoU': 24.0}, {'parsing/mIoU': 16.0}],
)


def test_a_real_comparison_goes_on_with_more_methods(
    data: Path, tmp_path: Path, inside: list[str]
) -> None:
    """Round-robin; the potentials are what the single-task networks reached in the same command."""
    cfg = config(data)
    found = compare(cfg, tmp_path, ['uniform', 'amtl'], repeat=1)
    assert inside == [f'{name}/seed_0' for name in (*TASKS, 'uniform', 'amtl')]
    reached = {}
    for task, metric in zip(TASKS, METRICS, strict=True):
        result = json.loads((tmp_path / task / 'seed_0/result.json').read_text())
        reached[metric] = result['metrics'][metric]
    amtl = written(tmp_path, 'amtl').optim_wrapper.weighting
    assert amtl.references == reached == found['references']
    for method in ('uniform', 'amtl'):  # of one epoch
        assert sum('parsing/mIoU' in line for line in scalars(tmp_path / method / 'seed_0')) == 1
    single = {name: of['single_task'] for name, of in found['metrics'].items()}
    assert single == reached
    uniform = found['runs']['uniform']['0']
    change = sum(uniform[name] / reached[name] - 1 for name in METRICS) / 2
    assert found['delta_m']['uniform']['0'] == pytest.approx(100 * change)
    assert found['delta_m']['single-task']['0'] == 0

    times = {p: p.stat().st_mtime_ns for p in tmp_path.rglob('*') if 'seed_0' in str(p)}
    again = compare(cfg, tmp_path, ['uniform', 'amtl', 'dwa'], repeat=1)
    assert inside[4:] == ['dwa/seed_0']
    assert all(path.stat().st_mtime_ns == time for path, time in times.items())
    assert again['runs']['amtl'] == found['runs']['amtl']
    assert set(again['delta_m']) == {'single-task', 'uniform', 'amtl', 'dwa'}
    for name in ('comparison.md', 'comparison.png'):
        assert (tmp_path / name).stat().st_size > 300


def test_mean_and_spread_over_the_seeds(data: Path, tmp_path: Path, made: Callable) -> None:
    """Relative to the means 50 and 20 of the single-task networks."""
    started = made({**ALONE, 'uniform': [metrics(55, 20), metrics(50, 24)]})
    found = compare(config(data), tmp_path, ['uniform'], repeat=2)
    assert started[:4] == [f'{task}/seed_{seed}' for seed in range(2) for task in TASKS]
    assert found['delta_m'] == {
        'single-task': {'0': pytest.approx(0.0), '1': pytest.approx(0.0, abs=1e-12)},
        'uniform': {'0': pytest.approx(5.0), '1': pytest.approx(10.0)},
    }
    summary = found['summary']['uniform']
    assert summary['delta_m'] == pytest.approx(dict(mean=7.5, std=5 / math.sqrt(2)))
    assert summary['attribute/MA'] == pytest.approx(dict(mean=52.5, std=5 / math.sqrt(2)))
    shares = [math.sqrt(0.55 * 0.2), math.sqrt(0.5 * 0.24)]
    assert summary['acc_mtl']['mean'] == pytest.approx(sum(shares) / 2)
    assert found['provenance']['seeds'] == [0, 1]
    table = (tmp_path / 'comparison.md').read_text().splitlines()
    cells = [cell.strip() for cell in table[3].split('|')]
    assert cells[1:4] == ['uniform', '52.50 ± 3.54', '22.00 ± 2.83']
    assert cells[5:7] == ['+7.50 ± 3.54', '2']
    assert found['references'] is None


def test_a_lower_value_is_better_where_the_references_say_so(
    data: Path, tmp_path: Path, made: Callable
) -> None:
    references = {'attribute/MA': 1.0, 'parsing/mIoU': dict(value=9.0, lower_is_better=True)}
    made({**ALONE, 'uniform': metrics(50, 30)})
    cfg = config(data, val_cfg__references=references)
    cfg.val_evaluator.parsing = dict(type='SilentMetric')  # which says nothing of it
    found = compare(cfg, tmp_path, ['uniform'], repeat=2, accuracies=None)
    assert found['delta_m']['uniform'] == {'0': pytest.approx(-25), '1': pytest.approx(-25)}
    assert 'parsing/mIoU ↓' in (tmp_path / 'comparison.md').read_text()
    with pytest.raises(
        ValueError, match=r"by --accuracies.*for \['amtl'\]; got \['attribute/MA'\]"
    ):
        compare(cfg, tmp_path, ['uniform', 'amtl'], accuracies=None)


def test_what_fails_or_diverges_stops_no_other(data: Path, tmp_path: Path, made: Callable) -> None:
    nan = float('nan')
    results = dict(
        ALONE,
        uw=[metrics(50, nan), metrics(50, 20)],
        dwa=FloatingPointError('sub-step 0, iteration 7: loss is not finite.'),
        rlw=[metrics(55, 20), OSError('the disk is gone')],
        uniform=metrics(45, 20),
    )
    made(results)
    methods = ['uw', 'dwa', 'sta', 'gradsplit', 'rlw', 'uniform']
    with pytest.raises(RuntimeError, match=r'1 of 8 trainings failed(.|\n)*rlw, seed 1(.|\n)*disk'):
        compare(config(data), tmp_path, methods, repeat=2)
    found = json.loads((tmp_path / 'comparison.json').read_text())
    assert found['problems'] == dict(
        uw={'0': 'diverged'},
        dwa={'0': 'diverged', '1': 'diverged'},
        sta={'0': 'left out', '1': 'left out'},
        gradsplit={'0': 'left out', '1': 'left out'},
        rlw={'1': 'failed'},
    )
    assert 'joint training' in found['left_out']['sta']
    assert 'relations' in found['left_out']['gradsplit']
    assert found['runs']['uw']['0'] == {'attribute/MA': 50.0, 'parsing/mIoU': None}
    assert found['delta_m']['uw'] == {'1': pytest.approx(0)}
    assert found['delta_m']['uniform'] == {'0': pytest.approx(-5), '1': pytest.approx(-5)}
    table = (tmp_path / 'comparison.md').read_text()
    assert 'diverged: seed 0' in table and 'failed: seed 1' in table
    assert (tmp_path / 'comparison.png').is_file()


def test_methods_that_end_in_the_same_weights_are_named(
    data: Path, tmp_path: Path, made: Callable
) -> None:
    """Bit for bit, with the same seed; however alike their metrics are."""
    methods = dict(uniform=[1.0, 2.0], uw=[1.0, 2.0], dwa=[2.0, 2.0], rlw=[1.0 + 2**-23, 3.0])
    made(
        ALONE | dict.fromkeys(methods, metrics(50, 20)),
        **methods, attribute=[1.0, 2.0], parsing=[1.0, 2.0],
    )  # fmt: skip
    found = compare(config(data), tmp_path, list(methods), repeat=2)
    assert found['same_weights'] == dict(
        uniform=dict(uw=[0, 1], dwa=[1]),
        uw=dict(uniform=[0, 1], dwa=[1]),
        dwa=dict(uniform=[1], uw=[1]),
    )
    states = [
        line.strip('|').split('|')[-1].strip()
        for line in (tmp_path / 'comparison.md').read_text().splitlines()
        if line.startswith('|')
    ]
    assert states[2:] == [
        '',  # the single-task networks are no method
        'same weights as uw, same weights as dwa: seed 1',
        'same weights as uniform, same weights as dwa: seed 1',
        'same weights as uniform: seed 1, same weights as uw: seed 1',
        '',
    ]


@pytest.mark.parametrize('text', ['{', '[' * 100_000, '{"metrics": {"a/b": "[red]"}}', '[1]'])
def test_a_damaged_result_costs_its_own_row(
    text: str, data: Path, tmp_path: Path, made: Callable
) -> None:
    made({**ALONE, 'uniform': metrics(50, 20), 'dwa': metrics(55, 20)})
    compare(config(data), tmp_path, ['uniform', 'dwa'], repeat=1)
    (tmp_path / 'dwa/seed_0/result.json').write_text(text)
    with pytest.raises(RuntimeError, match=r"dwa/seed_0/result\.json' is damaged.*remove the file"):
        compare(config(data), tmp_path, ['uniform', 'dwa'], repeat=1)
    found = json.loads((tmp_path / 'comparison.json').read_text())
    assert found['problems'] == {'dwa': {'0': 'failed'}}
    assert found['delta_m']['uniform'] == {'0': pytest.approx((50 / 40 + 20 / 24 - 2) * 50)}


def test_a_single_task_network_that_diverges(data: Path, tmp_path: Path, made: Callable) -> None:
    nothing = FloatingPointError('not finite')
    made({**ALONE, 'parsing': [{'parsing/mIoU': 20.0}, nothing], 'uniform': metrics(50, 20)})
    found = compare(config(data), tmp_path / 'one', ['uniform'], repeat=2)
    assert found['metrics']['parsing/mIoU']['single_task'] == 20
    assert found['problems'] == {'single-task': {'1': 'diverged'}}
    for name, result, words in (
        ('all', nothing, "'parsing/mIoU' of the single-task .* is diverged"),
        ('zero', {'parsing/mIoU': 0.0}, r'is \[0\.0, 0\.0\], so no method'),
        ('other', {'parsing/aAcc': 9.0}, r"is not measured in parsing, seed 0.*\['parsing/aAcc'\]"),
        ('failed', OSError('the disk'), 'trainings failed(.|\n)*the disk'),
    ):
        made({**ALONE, 'parsing': result})
        with pytest.raises((ValueError, RuntimeError), match=words):
            compare(config(data), tmp_path / name, ['uniform'], repeat=2)


def test_potentials_stay_when_seeds_are_added(data: Path, tmp_path: Path, made: Callable) -> None:
    started = made({**ALONE, 'amtl': metrics(50, 20), 'dtp': metrics(50, 20)})
    compare(config(data), tmp_path, ['amtl', 'dtp'], repeat=1)
    compare(config(data), tmp_path, ['amtl', 'dtp'], repeat=2)
    for seed in range(2):
        given = written(tmp_path, 'amtl', seed).optim_wrapper.weighting
        assert given.references == metrics(40, 24)
        assert written(tmp_path, 'dtp', seed).optim_wrapper.weighting.metrics == METRICS
    assert len(started) == 8
    with pytest.raises(ValueError, match=r"'amtl' with another config.*accuracies was"):
        other = ['attribute/MA', 'parsing/mAcc']
        compare(config(data), tmp_path, ['amtl'], metrics=METRICS, accuracies=other)


def test_single_task_networks_train_by_the_plain_optimizer(
    data: Path, tmp_path: Path, made: Callable
) -> None:
    made({**ALONE, 'dwa': metrics(1, 1)})
    cfg = config(data, optim_wrapper__weighting=dict(type='torchjd.UW'))
    compare(cfg, tmp_path, ['dwa'], repeat=1)
    attribute, parsing, dwa = (written(tmp_path, name) for name in (*TASKS, 'dwa'))
    assert list(attribute.model.tasks) == list(attribute.train_dataloader) == ['attribute']
    optimizer = cfg.optim_wrapper.optimizer
    for single in (attribute, parsing):
        assert single.optim_wrapper == dict(type='MultiTaskOptimWrapper', optimizer=optimizer)
    assert dwa.optim_wrapper.weighting.type == 'torchjd.DWA'


def test_all_methods_by_default(tmp_path: Path, made: Callable) -> None:
    """Those that need relations between the tasks, which the config does not have, are left out."""
    names = method_names()
    assert {'uniform', 'amtl', 'pcgrad', 'gradsplit', 'ista'} <= {*names}
    alone = {name.split('/')[0]: {name: value} for name, value in SINGLE.items()}
    made(alone | dict.fromkeys(names, SINGLE))
    cfg = toy_config(tmp_path, None, validated=True)
    found = compare(cfg, tmp_path, None, repeat=1, accuracies=list(SINGLE))
    assert list(found['delta_m']) == ['single-task', *names]
    assert 'gradsplit' in found['left_out'] and 'multihead' not in found['left_out']
    assert all('set relations' in why for why in found['left_out'].values())
    assert written(tmp_path, 'ista').train_cfg.allocator.type == 'mmgradsplit.ISTA'
    assert 'allocator' not in written(tmp_path, 'pcgrad').train_cfg


def test_a_method_file_of_ones_own(data: Path, tmp_path: Path, made: Callable) -> None:
    file = tmp_path / 'louder.py'
    file.write_text('louder = dict(optim_wrapper=dict(weighting=dict(type="UniformWeighting")))')
    made({**ALONE, 'louder': metrics(60, 20)})
    found = compare(config(data), tmp_path / 'out', [str(file)], repeat=2)
    assert list(found['delta_m']) == ['single-task', 'louder']
    file.write_text('louder = dict(optim_wrapper=dict(weighting=dict(type="torchjd.UW")))')
    with pytest.raises(ValueError, match=r"'louder' with another config.*torchjd.UW"):
        compare(config(data), tmp_path / 'out', [str(file)], repeat=2)


def test_dropgrad_trains_every_filter_by_every_task(
    data: Path, tmp_path: Path, made: Callable
) -> None:
    """The config's own mask, which holds all other tasks back, gives way."""
    made({**ALONE, 'dropgrad': metrics(1, 1)})
    compare(config(data, optim_wrapper__relations='none'), tmp_path, ['dropgrad'], repeat=1)
    runner = build(written(tmp_path, 'dropgrad'), tmp_path / 'run')
    model, wrapper = runner.model, runner.build_optim_wrapper(runner.optim_wrapper)
    begin(model, wrapper)
    filters = {
        name: weight
        for name, weight in model.backbone.layer4.named_parameters()
        if weight.ndim == 4  # of convolutions
    }
    assert len(filters) == 5
    for task in TASKS:
        before = {name: weight.detach().clone() for name, weight in filters.items()}
        loader = Runner.build_dataloader(runner.cfg.train_dataloader[task])
        task_step(model, wrapper, dict(next(iter(loader)), task=task))
        for name, weight in filters.items():
            assert (weight != before[name]).flatten(1).any(1).all(), (task, name)


def test_methods_with_a_memory_on_the_pedestrian_demo(tmp_path: Path, inside: list[str]) -> None:
    """What they remember of epochs and validations comes to them without a hook of the config."""
    root = make_pedestrians(
        tmp_path / 'data', attribute_train=4, attribute_val=2, attribute_test=4, reid_train_ids=2,
        reid_test_ids=2, images_per_id=12, distractors=1, pose_train=4, pose_val=2, parsing_train=4,
        parsing_val=2, workers=1,
    )  # fmt: skip
    cfg = Config.fromfile(DEMO)
    cfg.merge_from_dict(json.loads(json.dumps(dict(cfg)).replace('data/pedestrians', str(root))))
    cfg.custom_hooks = []
    for task, loader in cfg.train_dataloader.items():
        loader.update(batch_size=2, num_workers=0)
        cfg.val_dataloader[task].num_workers = 0
    cfg.train_dataloader.reid.sampler.update(batch_size=2, num_instances=2)
    cfg.train_cfg.update(max_epochs=3, iters_per_epoch=1)
    cfg.default_hooks.logger.interval = 1
    cfg.default_hooks.checkpoint.update(interval=9, save_last=False)
    out, values = tmp_path / 'out', dict(zip(cfg.references, (70.0, 60.0, 50.0, 20.0), strict=True))
    for name, value in values.items():
        folder = out / name.split('/')[0] / 'seed_0'
        folder.mkdir(parents=True)
        (folder / 'result.json').write_text(json.dumps(dict(metrics={name: value})))
    methods = ['dwa', 'dtp', 'amtl', 'amtl_arithmetic']
    found = compare(cfg, out, methods, repeat=1, accuracies=None)
    assert inside == [f'{method}/seed_0' for method in methods]
    assert list(found['delta_m']) == ['single-task', *methods] and found['problems'] == {}
    for method in methods:
        log = [line for line in scalars(out / method / 'seed_0') if 'weight/reid' in line]
        first, last = ([line[f'weight/{task}'] for task in cfg.model.tasks] for line in log[::2])
        assert len(set(first)) == 1 and len(set(last)) == 4, method


def test_faults_before_any_training(data: Path, tmp_path: Path, made: Callable) -> None:
    made({})
    cfg = config(data)
    with pytest.raises(ValueError, match=r"no method 'pcgard'.*did you mean 'pcgrad'"):
        compare(cfg, tmp_path, ['uniform', 'pcgard'])
    with pytest.raises(ValueError, match=r'must differ: .*uniform.*uniform'):
        compare(cfg, tmp_path, ['uniform', 'uniform'])
    with pytest.raises(ValueError, match='at least two'):
        compare(tiny_config(data, ['pose']), tmp_path, ['uniform'])
    with pytest.raises(ValueError, match='--repeat'):
        compare(cfg, tmp_path, ['uniform'], repeat=0)
    with pytest.raises(ValueError, match=r'by --metrics or by --accuracies; got \[\]'):
        compare(cfg, tmp_path, ['uniform'], accuracies=None)
    with FileLock(tmp_path / '.lock'), pytest.raises(BlockingIOError, match='another process'):
        compare(cfg, tmp_path, ['uniform'])


def test_a_folder_of_another_config(data: Path, tmp_path: Path, made: Callable) -> None:
    made({**ALONE, 'uniform': metrics(50, 20)})
    compare(config(data), tmp_path, ['uniform'], repeat=1)
    with pytest.raises(ValueError, match=r'another config.*optimizer\.lr was 0\.001'):
        compare(config(data, optim_wrapper__optimizer__lr=0.1), tmp_path, ['uniform'])
    with pytest.raises(ValueError, match=r'another config.*amp was False, is True'):
        compare(config(data), tmp_path, ['uniform'], amp=True)


# ---- what counts: --select, --lrs, --trim ----

REFERENCES = {'attribute/MA': 50.0, 'parsing/mIoU': 20.0}


def test_the_best_and_the_worst_seed_are_left_out(
    data: Path, tmp_path: Path, made: Callable
) -> None:
    """By acc_mtl; of the single tasks by that of the task, so their means are 50 and 20 again."""
    made(
        dict(
            attribute=[{'attribute/MA': value} for value in (90.0, 50.0, 5.0)],
            parsing=[{'parsing/mIoU': value} for value in (1.0, 90.0, 20.0)],
            uniform=[metrics(1, 1), metrics(55, 24), metrics(99, 99)],
        )
    )
    found = compare(config(data), tmp_path, ['uniform'], repeat=3, trim=1)
    assert {n: of['single_task'] for n, of in found['metrics'].items()} == metrics(50, 20)
    summary = found['summary']['uniform']
    assert summary['attribute/MA'] == dict(mean=55.0, std=None)
    assert summary['delta_m']['mean'] == pytest.approx(100 * (0.1 + 0.2) / 2)
    assert sorted(found['delta_m']['uniform']) == ['0', '1', '2']
    table = (tmp_path / 'comparison.md').read_text()
    assert 'without the 1 best and the 1 worst of the seeds, by acc_mtl' in table
    cells = [cell.strip() for cell in table.splitlines()[3].split('|')]
    assert cells[1:4] == ['uniform', '55.00', '24.00'] and cells[6] == '1'
    assert found['choice']['trim'] == 1


def test_the_learning_rate_with_the_best_mean_counts(
    data: Path, tmp_path: Path, made: Callable
) -> None:
    """Of each task and each method; a rate by which a seed diverges counts by the others."""
    diverged = FloatingPointError('loss')
    started = made(
        {
            'attribute_lr0.1': [{'attribute/MA': 50.0}, {'attribute/MA': 50.0}],
            'attribute_lr0.01': [{'attribute/MA': 20.0}, {'attribute/MA': 30.0}],
            'parsing_lr0.1': [{'parsing/mIoU': 5.0}, diverged],
            'parsing_lr0.01': [{'parsing/mIoU': 16.0}, {'parsing/mIoU': 24.0}],
            'uniform_lr0.1': [metrics(50, 20), metrics(60, 24)],
            'uniform_lr0.01': [metrics(90, 1), metrics(90, 2)],
            'dwa_lr0.1': [diverged, diverged],
            'dwa_lr0.01': [metrics(50, 10), diverged],
        }
    )
    found = compare(config(data), tmp_path, ['uniform', 'dwa'], repeat=2, lrs=[0.1, 0.01])
    assert found['choice']['chosen'] == dict(attribute=0.1, parsing=0.01, uniform=0.1, dwa=0.01)
    assert {n: of['single_task'] for n, of in found['metrics'].items()} == metrics(50, 20)
    assert found['delta_m']['uniform'] == {'0': pytest.approx(0), '1': pytest.approx(20)}
    assert found['problems'] == {'dwa': {'1': 'diverged'}}
    text = (tmp_path / 'comparison.md').read_text()
    assert 'counts: attribute 0.1, parsing 0.01, uniform 0.1, dwa 0.01.' in text
    rates = {name: written(tmp_path, name).optim_wrapper.optimizer.lr for name in found['runs']}
    assert all(name.endswith(f'_lr{rate:g}') for name, rate in rates.items()) and len(rates) == 8
    assert len(started) == 16


def test_the_best_epoch_counts(data: Path, tmp_path: Path, inside: list[str]) -> None:
    """Its metrics are those that its validation found, of the checkpoint that was kept."""
    cfg = config(data, val_cfg__references=REFERENCES)
    cfg.train_cfg.update(max_epochs=4, val_begin=4, val_interval=4)
    # So large a rate that the last epoch is not the best one.
    cfg.optim_wrapper.optimizer.lr = 0.5
    found = compare(cfg, tmp_path, ['uniform'], repeat=1, select='best')
    earlier = False
    for name in inside:
        lines = [line for line in scalars(tmp_path / name) if 'acc_mtl' in line]
        assert len(lines) == 5  # the last is of the best checkpoint
        best = max(lines[:4], key=lambda line: line['acc_mtl'])
        earlier |= best is not lines[3] and best['acc_mtl'] > lines[3]['acc_mtl']
        result = json.loads((tmp_path / name / 'result.json').read_text())['metrics']
        for key in METRICS:
            if key in best:
                assert result[key] == pytest.approx(best[key], rel=1e-5), name
    assert earlier
    assert 'the epoch with the best acc_mtl counts' in (tmp_path / 'comparison.md').read_text()
    assert found['choice']['select'] == 'best'
    with pytest.raises(ValueError, match=r'another config.*select was best, is nothing'):
        compare(cfg, tmp_path, ['uniform'], repeat=1)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(trim=1, repeat=2), r'--trim 1 leaves none of 2 seeds; give --repeat 3 or more'),
        (dict(trim=-1), '--trim must not be negative'),
        (dict(lrs=[0.1, 0.1]), '--lrs must be different numbers above 0'),
        (dict(select='best'), 'best acc_mtl, which the validations measure of val_cfg.references'),
        (dict(select='first'), r"--select must be one of \('last', 'best'\), got 'first'"),
    ],
)
def test_choices_that_cannot_be(
    data: Path, tmp_path: Path, made: Callable, options: dict[str, Any], message: str
) -> None:
    assert made({}) == []
    with pytest.raises(ValueError, match=message):
        compare(config(data), tmp_path, ['uniform'], **options)
