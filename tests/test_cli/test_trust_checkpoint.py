"""A checkpoint that would run code runs none, in no command, unless it is trusted."""

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.model import initialize
from PIL import Image
from torch import nn
from toy_joint import joint_config
from toy_weighting import config as toy_config

from mmgradsplit.cli.main import COMMANDS, main, make_parser
from mmgradsplit.utils import CheckpointError, read_checkpoint, trust_checkpoints
from mmgradsplit.utils.checkpoint_files import TRUST
from mmgradsplit.utils.config_text import read_config_text


class Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Callable, tuple]:
        return os.mkdir, (str(self.folder),)


class Gadget:
    """Asks for what mmengine's own list of safe names would lead to."""

    def __init__(self, *of: Any) -> None:
        self.of = of

    def __reduce__(self) -> tuple[Callable, tuple]:
        return getattr, self.of


@pytest.fixture
def ran(tmp_path: Path) -> Iterator[Path]:
    """The folder that is there if a payload ran."""
    yield tmp_path / 'ran'
    os.environ.pop(TRUST, None)


@pytest.fixture
def hostile(tmp_path: Path, ran: Path) -> Path:
    file = tmp_path / 'work' / 'epoch_1.pth'
    file.parent.mkdir()
    torch.save(dict(state_dict={}, meta=dict(epoch=1, iter=3), extra=Payload(ran)), file)
    (file.parent / 'last_checkpoint').write_text(str(file))
    return file


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A config, and a photo beside it."""
    cfg = toy_config(tmp_path / 'unused', None, validated=True)
    cfg.test_dataloader, cfg.test_evaluator = cfg.val_dataloader, cfg.val_evaluator
    cfg.test_cfg = cfg.val_cfg
    cfg.dump(tmp_path / 'joint.py')
    Image.new('RGB', (8, 8)).save(tmp_path / 'photo.jpg')
    return tmp_path / 'joint.py'


# What each command is given: 'C' is the config, 'H' the checkpoint, 'W' its folder, 'P' a photo.
ARGUMENTS: dict[str, list[str]] = {
    'train --resume': ['train', 'C', '--work-dir', 'W', '--resume'],
    'train --resume FILE': ['train', 'C', '--work-dir', 'N', '--resume', 'H'],
    'train from it': ['train', 'C', '--work-dir', 'N', '--cfg-options', 'load_from=H'],
    'train from parts': ['train', 'C', '--work-dir', 'N', '--cfg-options', 'load_from.backbone=H'],
    'test': ['test', 'C', 'H', '--work-dir', 'N'],
    'predict': ['predict', 'C', 'H', 'P', '--out', 'N'],
    'predict by its config': ['predict', '-', 'H', 'P', '--out', 'N'],
    'gallery build': ['gallery', 'build', '-', 'H', 'photos', '--out', 'N'],
    'serve': ['serve', '-', 'H'],
    'export': ['export', 'H', '--to', 'N'],
    'export a graph': ['export', 'H', '--to', 'N', '--format', 'onnx'],
    'publish': ['publish', 'H', '--to', 'N'],
    'conflict-frequency': ['conflict-frequency', 'C', 'H', '--out', 'N'],
    'gradient-angles': ['gradient-angles', 'C', 'H', '--out', 'N'],
}  # fmt: skip


@pytest.mark.parametrize('words', ARGUMENTS.values(), ids=ARGUMENTS)
def test_no_command_runs_it(
    words: list[str],
    config: Path,
    hostile: Path,
    ran: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    photo = config.with_name('photo.jpg')
    monkeypatch.setitem(sys.modules, 'gradio', ModuleType('gradio'))

    def filled(word: str) -> str:
        for letter, path in dict(C=config, H=hostile, W=hostile.parent, P=photo).items():
            word = str(path) if word == letter else word.replace(f'={letter}', f'={path}')
        return str(hostile.parent.parent / 'new') if word == 'N' else word

    with pytest.raises(SystemExit):
        main([filled(word) for word in words])
    said = capsys.readouterr().err
    assert not ran.exists()
    assert str(hostile) in said and '--trust-checkpoint' in said and 'mkdir' in said


def test_the_option_lets_it_run(hostile: Path, ran: Path) -> None:
    with pytest.raises(SystemExit):  # it holds no config
        main(['publish', str(hostile), '--to', str(hostile.parent), '--trust-checkpoint'])
    assert ran.is_dir()


@pytest.mark.parametrize('prefix', [None, 'backbone.'])
def test_no_initialisation_runs_it(hostile: Path, ran: Path, prefix: str | None) -> None:
    with pytest.raises(CheckpointError, match='--trust-checkpoint'):
        initialize(nn.Linear(1, 1), dict(type='Pretrained', checkpoint=str(hostile), prefix=prefix))
    assert not ran.exists()


def test_every_command_that_reads_one_has_the_option() -> None:
    """Those that train many times read ``load_from``, too."""
    (commands,) = (
        action.choices
        for action in make_parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    without = {
        name for name in COMMANDS if '--trust-checkpoint' not in _help(commands[name])
    }  # fmt: skip
    assert without == {
        'check', 'configs', 'draw', 'report', 'complexity', 'threshold-sweep', 'compare-relations'
    }  # fmt: skip


def _help(parser: argparse.ArgumentParser) -> str:
    nested = [
        _help(each)
        for action in parser._actions
        if isinstance(action, argparse._SubParsersAction)
        for each in action.choices.values()
    ]
    return parser.format_help() + ''.join(nested)


def test_a_file_that_is_trusted_is_read(hostile: Path, ran: Path) -> None:
    with pytest.raises(CheckpointError, match='mkdir'):
        read_checkpoint(hostile)
    trust_checkpoints()
    assert read_checkpoint(hostile)['meta']['epoch'] == 1
    assert ran.is_dir()


@pytest.mark.parametrize('legacy', [False, True])
@pytest.mark.parametrize(
    'of', [(HistoryBuffer.min, '__globals__'), (dict, 'get'), (HistoryBuffer, '__init__')]
)
def test_getattr_leads_nowhere(tmp_path: Path, of: tuple, legacy: bool) -> None:
    """The list of mmengine's safe names has it; from a function it leads to all of Python."""
    file = tmp_path / 'a.pth'
    torch.save({'x': Gadget(*of)}, file, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(CheckpointError, match='could run code'):
        read_checkpoint(file)


def test_what_mmengine_writes_needs_no_trust(tmp_path: Path) -> None:
    history = HistoryBuffer([1.0, 2.0], [1, 1])
    torch.save({'log': history, 'args': argparse.Namespace(lr=0.1)}, tmp_path / 'a.pth')
    read = read_checkpoint(tmp_path / 'a.pth')
    assert read['log'].mean() == 1.5 and read['args'].lr == 0.1


@pytest.mark.parametrize(
    'text',
    [
        "import os\nos.mkdir('{}')",
        "model = __import__('os').mkdir('{}')",
        "model = [print for _ in [__import__('os').mkdir('{}')]]",
        "model = dict(type='os.mkdir', path='{}')",
        "model = dict(type='subprocess.Popen', args='mkdir {}', shell=True)",
        "model = dict(type='torch.hub.load', repo_or_dir='{}', model='x')",
        "model = dict(a=[dict(type='mmengine.config.Config.fromstring')], b='{}')",
    ],
)
def test_the_config_in_a_checkpoint_is_read_and_not_run(ran: Path, text: str) -> None:
    with pytest.raises(CheckpointError, match=r"the config in 'a\.pth'"):
        read_config_text(text.format(ran), 'a.pth')
    assert not ran.exists()


def test_a_config_that_mmengine_writes_comes_back(tmp_path: Path) -> None:
    cfg = joint_config(
        tmp_path, a=-1.5, b=(1, None), c={1: 'x'}, d=dict(type='mmdet.DetDataSample')
    )
    read = read_config_text(cfg.pretty_text, 'a.pth')
    assert read.to_dict() == cfg.to_dict()
