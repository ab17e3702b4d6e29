"""The private names of mmengine's that are used: the installed one has them, as described."""

import ast
import copy
import logging
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.hooks import CheckpointHook
from mmengine.logging import print_log
from mmengine.model import BaseModule
from mmengine.optim import OptimWrapper
from mmengine.runner import EpochBasedTrainLoop
from torch import nn
from torch.utils.data import DataLoader

from mmgradsplit.registry import MODELS
from mmgradsplit.utils import mmengine_private as private

POSITION = ('_epoch', '_iter', '_max_epochs', '_max_iters')
SAVING = ('_save_checkpoint_with_step', '_save_best_checkpoint')
TESTED = {
    *POSITION, *SAVING, '_format_python_code', '_inner_count', '_metainfo', '_params_init_info',
    '_serialize_data',
}  # fmt: skip
# Private names of torch's, of the toolboxes', and of torchvision's (tests/test_compat).
OTHERS = {'_buffers', '_conv_forward', '_dynamo', '_freeze_stages', '_get_loss'}
OTHERS |= {'_replace'}  # of Python's named tuples, and public
OTHERS |= {'_deform_conv2d_backward', '_roi_align_backward'}
PACKAGE = Path(private.__file__).parents[1]


def test_every_name_of_the_list_is_tested() -> None:
    assert {*re.findall(r'``(?:\w+\.)?(_\w+)``', str(private.__doc__))} == TESTED


def test_no_other_name_is_used() -> None:
    """All attributes with an underscore that the package does not define itself."""
    used, own = set(), set()
    for path in PACKAGE.rglob('*.py'):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr.startswith('_'):
                (own if isinstance(node.ctx, ast.Store) else used).add(node.attr)
            elif isinstance(node, ast.FunctionDef | ast.ClassDef):
                own.add(node.name)
            elif isinstance(node, ast.AnnAssign | ast.Assign):
                targets = [node.target] if isinstance(node, ast.AnnAssign) else node.targets
                own.update(name.id for name in targets if isinstance(name, ast.Name))
    foreign = {name for name in used - own if not name.startswith('__')}
    assert foreign <= TESTED | OTHERS, 'add it to utils/mmengine_private.py, and a test here'


def test_position_of_a_training_loop() -> None:
    loop = EpochBasedTrainLoop(None, DataLoader([1, 2, 3, 4, 5]), max_epochs=3)
    assert [vars(loop)[name] for name in POSITION] == [0, 0, 3, 15]
    for number, name in enumerate(POSITION):
        setattr(loop, name, 7 + number)
    assert [loop.epoch, loop.iter, loop.max_epochs, loop.max_iters] == [7, 8, 9, 10]


def test_configs_are_written_unformatted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('yapf.yapflib.yapf_api.FormatCode', lambda text, **_: ('formatted', True))
    cfg = Config(dict(a=dict(b=[1, 2])))
    assert cfg.pretty_text == 'formatted'
    private.write_unformatted(cfg)
    assert Config.fromstring(copy.deepcopy(cfg).pretty_text, '.py').to_dict() == cfg.to_dict()


def test_print_log_prints_by_the_name_that_is_replaced(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(private.logger_module, 'print', print, raising=False)  # put back afterwards
    private.silence_print_log(('known', 'Known too: '))
    for message in ('known', 'known and more', 'Known too: x', 'more, known', 'other'):
        print_log(message, level=logging.DEBUG)
    assert capsys.readouterr().out == 'more, known\nother\n'


def test_writing_of_checkpoints() -> None:
    calls = []

    class Noting(CheckpointHook):
        def _save_checkpoint_with_step(self, runner: Any, step: int, meta: dict) -> None:
            calls.append((step, meta))

        def _save_best_checkpoint(self, runner: Any, metrics: dict) -> None:
            calls.append(metrics)

    assert all(callable(vars(CheckpointHook)[name]) for name in SAVING)
    hook = Noting(interval=2)
    for epoch in range(4):
        runner: Any = SimpleNamespace(epoch=epoch, iter=5 * epoch, max_epochs=5)
        runner.logger = logging.getLogger()
        hook.after_train_epoch(runner)
    hook.after_val_epoch(runner, {'seg/mIoU': 40.0})
    assert calls == [(2, dict(epoch=2, iter=5)), (4, dict(epoch=4, iter=15)), {'seg/mIoU': 40.0}]


def test_backward_passes_are_counted() -> None:
    param = nn.Parameter(torch.zeros(1))
    wrapper = OptimWrapper(torch.optim.SGD([param], lr=1.0), accumulative_counts=3)
    wrapper.update_params(param.sum())
    assert wrapper.inner_count == 1 and not param.any()
    private.count_backward(wrapper)
    wrapper.update_params(param.sum())
    assert wrapper.inner_count == 3 and param.item() != 0  # the third is an update
    wrapper.initialize_count_status(nn.Linear(1, 1), 4, 9)
    assert wrapper.inner_count == 4


def test_an_initialisation_that_failed_is_forgotten() -> None:
    class Offline(BaseModule):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 2)

        def init_weights(self) -> None:
            super().init_weights()
            raise ConnectionError

    class Network(BaseModule):
        def __init__(self) -> None:
            super().__init__(init_cfg=dict(type='Constant', layer='Linear', val=0.5))
            self.first, self.part = nn.Linear(2, 2), Offline()

    network = Network()
    with pytest.raises(ConnectionError):
        network.init_weights()
    left = [hasattr(module, '_params_init_info') for module in (network, network.part)]
    assert left == [True, True]
    private.forget_failed_init(network)
    assert not any(hasattr(module, '_params_init_info') for module in network.modules())
    network.part = nn.Linear(2, 2)
    network.init_weights()
    assert (network.part.weight == 0.5).all()
    assert not any(hasattr(module, '_params_init_info') for module in network.modules())


class Listed(BaseDataset):
    """Has the samples ``given``."""

    def load_data_list(self) -> list[dict]:
        self._metainfo['number'] = 3
        return self.given  # type: ignore[attr-defined]


def test_an_empty_data_set_is_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Listed, 'given', [], raising=False)
    with pytest.raises(ValueError) as error:
        Listed()
    assert private.is_no_samples(error.value)
    assert error.traceback[-1].name != 'load_data_list'
    assert not private.is_no_samples(ValueError('need more than one array'))


def test_a_type_that_is_not_registered_is_recognised() -> None:
    with pytest.raises(KeyError) as error:
        MODELS.build(dict(type='NoSuchModel'))
    assert private.unknown_type(error.value) == 'NoSuchModel'
    assert private.unknown_type(KeyError('NoSuchModel')) is None
    assert private.unknown_type(KeyError()) is None


def test_what_a_data_set_tells_of_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Listed, 'given', [dict(a=1)], raising=False)
    found = Listed(metainfo=dict(classes=['one'])).metainfo
    assert found == dict(classes=['one'], number=3)


def test_a_registry_imports_parts_of_networks_alone() -> None:
    here = dict(type='os.getcwd')
    assert MODELS.build(here) == str(Path.cwd())
    with private.networks_alone():
        with pytest.raises(RuntimeError, match=r'Failed to get os\.getcwd'):
            MODELS.build(here)
        linear = MODELS.build(dict(type='torch.nn.Linear', in_features=1, out_features=1))
    assert isinstance(linear, nn.Linear)
    assert MODELS.build(here) == str(Path.cwd())
