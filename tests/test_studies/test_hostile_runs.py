"""Work dirs that are damaged, or made to do harm, cost their own row of a report."""

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fixtures_reports import REFERENCES, shown, write_run
from mmengine.config import Config

from mmgradsplit.engine.screen import ScreenRunner
from mmgradsplit.studies.report_runs import read_run
from mmgradsplit.studies.run_config import read_config

MARK = 'executed'


def log_of(folder: Path) -> Path:
    return next(folder.glob('*/vis_data/scalars.json'))


def write_log(folder: Path, *lines: str) -> None:
    log = log_of(folder)
    log.write_text('\n'.join([*lines, log.read_text()]))


def write_config(folder: Path, text: str, name: str = 'config.json') -> None:
    (log_of(folder).parent / name).write_text(text)


def change_summary(folder: Path, **values: Any) -> None:
    file = folder / 'summary.json'
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def with_model(folder: Path, **model: Any) -> None:
    cfg = dict(
        model=model, train_cfg=dict(max_epochs=4, iters_per_epoch=10), work_dir='x',
        val_cfg=dict(references=REFERENCES),
        val_dataloader=dict(dataset=dict(pipeline=[dict(scale=[8, 8])])),
    )  # fmt: skip
    write_config(folder, json.dumps(cfg))


def fifo(folder: Path) -> None:
    log = log_of(folder)
    log.unlink()
    os.mkfifo(log)


DEEP = 100_000
TOUCH = f'__import__("pathlib").Path("{MARK}").touch()'
# What is done to a work dir, and what is said of it; None where it has a row.
HARM: dict[str, tuple[Callable[[Path], object], str | None]] = {
    'a deep log': (lambda f: write_log(f, '[' * DEEP + ']' * DEEP), 'recursion'),
    'a deep summary': (lambda f: (f / 'summary.json').write_text('{"a":' * DEEP), 'recursion'),
    'a deep config': (lambda f: write_config(f, '{"a":' * DEEP), 'recursion'),
    'a config nested as JSON allows': (
        lambda f: write_config(f, '{"train_cfg":{},"a":' + '[' * 700 + ']' * 700 + '}'), ''
    ),
    'a config that is a list': (lambda f: write_config(f, '[]'), 'holds no JSON object'),
    'a config without a model': (lambda f: write_config(f, '{"train_cfg": {}}'), 'NoneType'),
    'references that are none': (
        lambda f: write_config(f, json.dumps(dict(
            model={}, train_cfg=dict(max_epochs=4), val_cfg=dict(references={'pose/PCK': [1]}),
        ))),
        'list',
    ),
    'Python that raises': (lambda f: write_config(f, 'raise OSError', 'config.py'), 'line 1 of'),
    'Python that acts': (lambda f: write_config(f, TOUCH, 'config.py'), 'line 1 of'),
    'Python in it': (lambda f: write_config(f, f'a = dict(b={TOUCH})', 'config.py'), 'line 1 of'),
    'deep Python': (lambda f: write_config(f, 'a = ' + '-' * DEEP + '1', 'config.py'), ''),
    'a type that acts': (lambda f: with_model(f, type='os.system', command=f'touch {MARK}'), None),
    'a task that acts': (
        lambda f: with_model(f, type='MultiTaskModel', backbone=dict(type='os.mkdir', path=MARK),
                             tasks=dict(pose=dict(type='os.mkdir', path=MARK))),
        None,
    ),
    'imports that are none': (
        lambda f: write_config(f, json.dumps(dict(
            model={}, train_cfg=dict(max_epochs=4, iters_per_epoch=10), custom_imports=[1],
        ))),
        None,
    ),
    'iterations beyond all': (
        lambda f: write_log(f, '{"iter": 1e308, "step": 1, "pose/loss": 1}'), '1e+308'
    ),
    'infinite iterations': (lambda f: write_log(f, '{"iter": Infinity, "step": 1}'), 'infinity'),
    'a number of 5000 digits': (lambda f: write_log(f, '{"iter": ' + '9' * 5000 + '}'), ''),
    'a loss beyond all': (
        lambda f: write_log(f, '{"iter": 1, "step": 1, "pose/loss": 1e308, "time": 1e308}'), None
    ),
    'a loss that is no float': (
        lambda f: write_log(f, '{"iter": 1, "step": 1, "pose/loss": 1' + '0' * 400 + '}'), 'float'
    ),
    'metrics beyond all': (
        lambda f: change_summary(f, trained={'pose/PCK': 1e308, 'depth/rmse': 1e-308}), None
    ),
    'a metric of words': (lambda f: change_summary(f, trained={'pose/PCK': '[red]'}), 'float'),
    'a log of words': (lambda f: write_log(f, '"[red]"'), 'is no JSON object'),
    'a log of bytes': (lambda f: log_of(f).write_bytes(b'\xff\xfe'), 'codec'),
    'a log that waits': (fifo, 'is no file'),
    'a metric with a dollar': (
        lambda f: change_summary(f, trained={'pose/$\\frac$': 1.0, 'pose/PCK': 60.0}), None
    ),
}  # fmt: skip


def rows_of(*folders: Path, **options: Any) -> tuple[dict[str, Any], str]:
    rows, text = shown(*folders, **options)
    found = {row.name: {c: row.values(c) for c in ('pose/PCK', 'depth/rmse')} for row in rows}
    return found, text


def test_each_costs_its_own_row_and_nothing_is_executed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    good = write_run(tmp_path / 'good')
    alone, _ = rows_of(good)
    folders = {name: write_run(tmp_path / f'bad {i}') for i, name in enumerate(HARM)}
    for name, (harm, _) in HARM.items():
        harm(folders[name])
    options = dict(out=tmp_path / 'out', references=['pose/PCK=50', 'depth/rmse=0.6'])
    found, text = rows_of(good, *folders.values(), **options)
    assert found['good'] == alone['good']
    for name, (_, said) in HARM.items():
        folder = folders[name]
        assert (folder.name in found) == (said is None), name
        note = text.partition(f"Left out: the run in '{folder}'")[2].partition('\n')[0]
        assert said is None or (note and said in note), f'{name}: {note}'
    assert not (tmp_path / MARK).exists()
    assert {path.name for path in (tmp_path / 'out').iterdir()} == {
        'report.md', 'report.csv', 'curves.png',
    }  # fmt: skip
    assert max(map(len, text.splitlines())) < 2000


NAMES = ['[red]', '[bold', '$\\frac$', '_hidden', 'a|b', 'a\nb', '\x1b[31m']


@pytest.mark.parametrize('name', NAMES)
def test_names_are_shown_as_they_are(name: str, tmp_path: Path) -> None:
    good, odd = write_run(tmp_path / 'good'), write_run(tmp_path / name, pose=70.0, extra=1)
    (odd / 'config_name.py').write_text('')
    found, text = rows_of(good, odd, out=tmp_path / name / 'out')
    shown = name.replace('\n', '\ufffd').replace('\x1b', '\ufffd')
    assert found.keys() == {'good', shown} and shown in text and '\x1b' not in text
    table = (tmp_path / name / 'out/report.md').read_text().split('\n\n')[0].splitlines()
    assert len({line.replace('\\|', '').count('|') for line in table}) == 1


def test_a_run_leaves_its_config_as_json(tmp_path: Path) -> None:
    class Runner(ScreenRunner):
        def __init__(self, cfg: Config) -> None:
            self.cfg, self._work_dir, self._log_dir = cfg, str(tmp_path), str(tmp_path / 'stamp')
            self._timestamp = 'stamp'

    values = dict(
        model=dict(order=['b', 'a'], scale=(1, 2)), huge=math.inf, kind=ScreenRunner, a={(1, 2): 3}
    )
    Runner(Config(values)).dump_config()
    read = read_config(tmp_path / 'stamp/vis_data')
    assert read.model == dict(order=['b', 'a'], scale=[1, 2])
    assert read.huge == math.inf and 'ScreenRunner' in read.kind


def test_configs_of_earlier_versions_are_read_as_values(tmp_path: Path) -> None:
    values = dict(
        a=dict(b=[1, -2.5, None, True, 'x'], c=(1,), d={'e f': {}, '1': 'a\nb'}), g=[dict(h='i')]
    )
    Config(values).dump(tmp_path / 'config.py')
    assert read_config(tmp_path).to_dict() == values


def test_a_reference_that_is_damaged_is_an_error(tmp_path: Path) -> None:
    good, bad = write_run(tmp_path / 'good'), write_run(tmp_path / 'bad')
    (bad / 'summary.json').write_text('[' * DEEP)
    with pytest.raises(ValueError, match=r"the run in '.*bad' cannot be read: RecursionError"):
        rows_of(good, references=[bad])
    assert read_run(good).state == 'finished'
