"""Every odd file is read right, or an error names it: in training, and in the check of a config."""

import re
from pathlib import Path

import pytest
from corpus import CASES, SETS, Case
from corpus.lists import ODD_NAME
from corpus.sets import config
from mmengine.registry import init_default_scope

from mmgradsplit.analysis.data_check.plan import PlannedSet
from mmgradsplit.analysis.data_check.survey import survey_set
from mmgradsplit.engine.loops.streams import TaskDataset


@pytest.fixture(autouse=True)
def in_our_scope() -> None:
    init_default_scope('mmgradsplit')


def planned(kind: str, root: Path, options: dict | None = None) -> PlannedSet:
    dataset = config(kind, root) | (options or {})
    return PlannedSet(f'train_dataloader.{kind}', dict(batch_size=1, dataset=dataset), {})


@pytest.mark.parametrize('kind', SETS)
def test_whole_sets_are_read_in_a_folder_of_any_name(kind: str, tmp_path: Path) -> None:
    root = tmp_path / ODD_NAME
    SETS[kind](root)
    survey = survey_set(planned(kind, root))
    assert survey.findings == []
    assert survey.samples == 3


def test_the_corpus_has_enough_of_every_set() -> None:
    assert len(CASES) >= 120
    assert len({case.name for case in CASES}) == len(CASES)
    assert {case.kind for case in CASES} == set(SETS)


@pytest.mark.parametrize('case', CASES, ids=lambda case: case.name)
def test_case(case: Case, tmp_path: Path) -> None:
    SETS[case.kind](tmp_path)
    file = case.change(tmp_path)
    survey = survey_set(planned(case.kind, tmp_path, case.options))
    if not case.words:
        assert survey.findings == []
        assert survey.samples > 0
        samples = [survey.dataset[i] for i in range(len(survey.dataset))]
        assert case.look is None or case.look(samples)
        return
    # One file is odd, or all of a kind.
    assert survey.findings
    first = survey.findings[0]
    assert str(file) in f'{first.file}: {first.what}'
    assert re.search(case.words, first.what)
    if survey.dataset is None or case.check_alone:
        return
    training = TaskDataset(survey.dataset, case.kind)
    with pytest.raises(ValueError, match=rf"^task '{case.kind}': sample \d") as caught:
        for i in range(len(training)):
            training[i]
    assert str(file) in str(caught.value)
    assert re.search(case.words, str(caught.value))
