"""Weightings: uniform, and TorchJD's scalarizers."""

import pytest
import torch
from torchjd import scalarization

from mmgradsplit.models.weightings import build_weighting

TASKS = ['seg', 'depth', 'normal']


def losses(*values: float) -> dict[str, torch.Tensor]:
    return {t: torch.tensor(v, requires_grad=True) for t, v in zip(TASKS, values, strict=False)}


def test_a_task_without_a_sample_adds_nothing() -> None:
    weighting = build_weighting(None, TASKS)
    assert weighting(losses(3.0, 6.0, 9.0)).item() == 6.0
    assert weighting(losses(3.0, 6.0)).item() == 3.0  # (3 + 6) / 3, still the mean over three


@pytest.mark.parametrize('method', ['UW', 'DWA', 'IMTLL', 'GeometricMean', 'Mean', 'STCH'])
def test_scalarizers_of_torchjd(method: str) -> None:
    options = {'mu': 0.5} if method == 'STCH' else {}
    weighting = build_weighting(dict(type=f'torchjd.{method}', **options), TASKS)
    kind = getattr(scalarization, method)
    theirs = kind(3) if method in ('UW', 'IMTLL') else kind(**options)
    for values in ((1.0, 2.0, 3.0), (0.5, 2.5, 1.0), (0.4, 1.5, 0.7)):
        assert torch.equal(weighting(losses(*values)), theirs(torch.tensor(values)))
    assert len(list(weighting.parameters())) == len(list(theirs.parameters()))


def test_a_task_without_a_sample_stands_with_its_latest_loss() -> None:
    weighting = build_weighting(dict(type='torchjd.UW'), TASKS)
    weighting(losses(1.0, 2.0, 4.0))
    given = losses(1.0, 2.0)
    weighting(given).backward()
    (log_var,) = weighting.parameters()
    # d/ds (exp(-s) l / 2 + s / 2) at s = 0, with l = 1, 2 and the earlier 4.
    assert log_var.grad.tolist() == [0.0, -0.5, -1.5]
    assert [given[task].grad.item() for task in given] == [0.5, 0.5]
