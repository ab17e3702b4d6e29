"""The console command: its commands, their scripts, and what they say of a mistake."""

import argparse
import inspect
import re
import runpy
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from mmengine.logging import MMLogger
from torch._utils import ExceptionWrapper

from mmgradsplit.cli import COMMANDS, draw, main, make_parser
from mmgradsplit.cli.errors import one_sentence
from mmgradsplit.config_files import CONFIGS, config_names

ROOT = Path(__file__).resolve().parents[2]
# All but those that serve the project itself.
SCRIPTS = [
    path
    for path in sorted(ROOT.glob('tools/**/*.py'))
    if path.name not in ('install.py', 'make_metafiles.py')
]


@pytest.mark.parametrize('command', COMMANDS)
def test_help_describes_every_argument(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([command, '--help'])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    assert f'mmgradsplit {command}' in text and '--debug' in text
    (commands,) = subparsers(make_parser())
    told = [*arguments(commands.choices[command])]
    assert len(told) > 1
    assert not [each.dest for each in told if not (each.help or '').strip()]


def subparsers(parser: argparse.ArgumentParser) -> list[Any]:
    return [each for each in parser._actions if isinstance(each, argparse._SubParsersAction)]


def arguments(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Those of a command and of the commands below it."""
    nested = subparsers(parser)
    yield from (each for each in parser._actions if each not in nested)
    for each in nested:
        for below in each.choices.values():
            yield from arguments(below)


@pytest.mark.parametrize('script', SCRIPTS, ids=lambda path: path.stem)
def test_a_script_of_tools_is_a_command(
    script: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It has the same options, and is called by the script's own name."""

    def options(text: str) -> set[str]:
        return set(re.findall(r'--[a-z][a-z-]+', text))

    monkeypatch.setattr(sys, 'argv', [script.name, '--help'])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(script), run_name='__main__')
    assert stopped.value.code == 0
    of_script = capsys.readouterr().out
    assert of_script.startswith(f'usage: {script.name}')
    # A script called `check` would not say of what.
    name = {'check_data': 'check'}.get(script.stem, script.stem.replace('_', '-'))
    command = ['draw', name] if script.parent.name == 'dataset_converters' else [name]
    with pytest.raises(SystemExit):
        main([*command, '--help'])
    assert options(of_script) - {'--debug'} == options(capsys.readouterr().out) - {'--debug'}


@pytest.mark.parametrize('name', ['pedestrians', 'scenes', 'digits'])
def test_draw_offers_what_the_function_takes(name: str) -> None:
    module = import_module(f'mmgradsplit.synthetic.{name}')
    taken = inspect.signature(getattr(module, f'make_{name}')).parameters
    paths = ['mnist', 'cifar', 'out'] if name == 'digits' else []
    args = vars(make_parser().parse_args(['draw', name, *paths]))
    numbers = {key: value for key, value in args.items() if key in getattr(draw, name.upper())}
    assert numbers == {
        key: parameter.default for key, parameter in taken.items() if key not in (*paths, 'out')
    }
    assert {*taken} <= {*args}


def test_completion_names_commands_and_options(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(['--print-completion', 'bash'])
    script = capsys.readouterr().out
    assert f'({" ".join(COMMANDS)})' in script and '--cfg-options' in script


def test_configs_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    main(['configs'])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == config_names()
    assert {*config_names()} == {
        str(path.relative_to(ROOT / 'configs'))
        for path in ROOT.glob('configs/*/*.py')
        if path.parent.name != '_base_'
    }
    main(['configs', 'ista_r50'])
    lines = capsys.readouterr().out.splitlines()
    assert lines and all('ista_r50' in line.split()[0] for line in lines)
    first = (CONFIGS / lines[0].split()[0]).read_text().splitlines()[0].removeprefix('# ')
    assert first in lines[0]


# ---- mistakes ----


@pytest.fixture(autouse=True)
def no_earlier_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command is a process of its own: no logger of another test's run."""
    monkeypatch.setattr(MMLogger, '_instance_dict', OrderedDict())


def said(error: BaseException, capsys: pytest.CaptureFixture[str]) -> str:
    """What a person sees of an error."""
    with pytest.raises(SystemExit) as stopped, one_sentence():
        raise error
    assert stopped.value.code == 1
    captured = capsys.readouterr()
    assert not captured.out and 'Traceback' not in captured.err
    return captured.err


def test_a_mistake_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(['train', 'gradsplit/r50gn_4tusk.py'])
    assert stopped.value.code == 1
    message = capsys.readouterr().err.splitlines()
    assert message[0].startswith("error: no config file 'gradsplit/r50gn_4tusk.py'")
    assert 'gradsplit/r50gn_4task.py' in message[0]
    assert message[1:] == ['(--debug shows the traceback)']
    with pytest.raises(FileNotFoundError):
        main(['train', 'gradsplit/r50gn_4tusk.py', '--debug'])
    with pytest.raises(SystemExit):
        main(['configs', 'nothing-has-this-name'])
    assert "no config has 'nothing-has-this-name'" in capsys.readouterr().err


def test_a_config_that_is_no_python_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / 'broken.py'
    config.write_text('model = dict(\n')
    with pytest.raises(SystemExit):
        main(['train', str(config)])
    message = capsys.readouterr().err
    assert 'broken.py' in message and 'SyntaxError' in message and 'Traceback' not in message


def test_messages_are_shown_without_their_wrapping(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(KeyError("'X' is not in the registry"), capsys).startswith(
        "error: 'X' is not in the registry\n"
    )
    assert said(ValueError(), capsys).startswith('error: ValueError\n')
    for raised in (OSError('the image a: b.jpg is broken'), KeyError('no label for a: b.jpg')):
        # As a worker of a loader passes it on, and torch raises it again.
        try:
            raise raised
        except Exception:
            wrapper = ExceptionWrapper(where='in DataLoader worker process 0')
        with pytest.raises(SystemExit), one_sentence():
            wrapper.reraise()
        assert capsys.readouterr().err.splitlines()[0].strip("'") in (
            'error: the image a: b.jpg is broken', "error: 'no label for a: b.jpg"
        )  # fmt: skip


def test_what_is_no_mistake_of_the_user_keeps_its_traceback() -> None:
    for error in (RuntimeError('bug'), AttributeError('bug'), MemoryError()):
        with pytest.raises(type(error)), one_sentence():
            raise error
    with pytest.raises(ValueError, match='bad'), one_sentence(debug=True):
        raise ValueError('bad')
    with pytest.raises(SystemExit) as stopped, one_sentence():
        raise KeyboardInterrupt
    assert stopped.value.code == 130


def test_the_traceback_goes_into_the_log_file_of_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / 'run.log'
    logger = MMLogger.get_instance('of this test', log_file=str(log))
    message = said(ValueError('the key is bad'), capsys)
    for handler in logger.handlers:
        handler.close()
    assert message == f'error: the key is bad\n(the traceback is in {log})\n'
    assert 'Traceback (most recent call last)' in log.read_text()
    assert 'ValueError: the key is bad' in log.read_text()


def test_help_and_mistakes_do_not_wait_for_torch() -> None:
    """It takes seconds to import, and so do the toolboxes."""
    asked = 'import sys; from mmgradsplit.cli import make_parser; make_parser()'
    slow = "print(*({'torch', 'mmengine', 'mmcv', 'mmpose', 'matplotlib', 'cv2'} & {*sys.modules}))"
    result = subprocess.run(
        [sys.executable, '-c', f'{asked}; {slow}'], cwd=ROOT, capture_output=True, text=True
    )
    assert (result.returncode, result.stdout.strip()) == (0, ''), result.stderr
