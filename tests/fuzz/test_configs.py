"""A short campaign of mistakes in configs; `python -m tests.fuzz.configs` makes long ones."""

import pytest

from .configs import campaign, table
from .legal import UNEXPLAINED


@pytest.mark.parametrize('seed', [0])
def test_mistakes_fail_by_key_or_are_legal(seed: int) -> None:
    outcomes = campaign(10, seed)
    bad = [
        f'{outcome.end}: {outcome.mutation}: {outcome.text}'
        for outcome in outcomes
        if outcome.end not in ('key', 'silent') or outcome.text == UNEXPLAINED
    ]
    assert not bad, table(outcomes)
