"""What all tests share: the folder of the helpers on the path, and a fixed seed."""

import pytest
import torch


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)
