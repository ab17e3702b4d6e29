"""What all tests share: a fixed seed, no formatting of configs, no scope left behind."""

import sys
from collections.abc import Iterator
from importlib import import_module
from unittest import mock

import pytest
import torch
from mmengine.registry import DefaultScope

import mmgradsplit  # noqa: F401  (mends imports, so it comes before what the tests import)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--rehearse``."""
    said = 'run the tests for a GPU on the CPU, as far as they go there'
    parser.addoption('--rehearse', action='store_true', help=said)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what is for a GPU alone, where there is none."""
    marker = item.get_closest_marker('gpu')
    alone = marker is not None and marker.kwargs.get('alone', True)
    if alone and not torch.cuda.is_available() and not item.config.getoption('--rehearse'):
        pytest.skip('needs a GPU; --rehearse tries it on the CPU')


@pytest.fixture(autouse=True, scope='session')
def impatient() -> Iterator[None]:
    """Wait shortly, not 5 s, for a worker of a dataloader that has failed."""
    with mock.patch('torch.utils.data._utils.MP_STATUS_CHECK_INTERVAL', 0.2):
        yield


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def unformatted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave configs unformatted: mmengine does it several times a run, and it takes seconds."""
    monkeypatch.setattr('yapf.yapflib.yapf_api.FormatCode', lambda text, **_: (text, True))


@pytest.fixture(autouse=True)
def scope() -> Iterator[None]:
    """Forget the default scope that a Runner of the test leaves behind."""
    yield
    DefaultScope._instance_dict.clear()


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let all of mmcv.ops call our stand-in, also where compiled ops are there."""
    import_module('mmcv.ops')
    for name, module in list(sys.modules.items()):
        if name.startswith('mmcv.ops.') and hasattr(module, 'ext_module'):
            monkeypatch.setattr(module, 'ext_module', import_module('mmgradsplit.compat.mmcv_ops'))
