"""What all tests share: a fixed seed, no formatting of configs, no scope left behind."""

from collections.abc import Iterator

import pytest
import torch
from mmengine.registry import DefaultScope


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
