"""What is found in one data set, and what is in it."""

import io
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from typing import Any

from mmengine.dataset.utils import pseudo_collate
from torch.utils.data import DataLoader

from mmgradsplit.engine.loops.dataloaders import dataset_reading
from mmgradsplit.engine.loops.reading import base_datasets, check_while_reading
from mmgradsplit.registry import DATASETS
from mmgradsplit.utils import SampleError
from mmgradsplit.utils.data_files import IMPLAUSIBLE, KINDS, UNREADABLE

from .plan import PlannedSet
from .readings import Finding, Observer, Probe, Reading, start_worker
from .strays import strays

CHUNK = 8
BACKGROUND, IGNORED = 0, 255


@dataclass
class Survey:
    """What is found in one data set, and what is in it.

    Attributes:
        planned: The data set's place in the config.
        kind: Its class.
        samples: How many samples it has.
        findings: What is wrong.
        counts: How often each class is there, summed over the samples, as in ``Reading``.
        ranges: By map: smallest number, smallest, middle and largest median, largest number, and
            the mean share that was measured.
        annotated: How many samples have each map; where they may lack one, those without are read,
            too.
        sizes: Smallest and largest width and height of the images.
        identities: How many there are, and how many have one image, where samples have identities.
        names: Names of the classes.
        dataset: The data set, where it could be built.
        observer: What its pipelines report to.
    """

    planned: PlannedSet
    kind: str = ''
    samples: int = 0
    findings: list[Finding] = field(default_factory=list)
    counts: dict[str, Counter[int]] = field(default_factory=dict)
    ranges: dict[str, dict[str, float]] = field(default_factory=dict)
    annotated: Counter[str] = field(default_factory=Counter)
    sizes: dict[str, list[int]] = field(default_factory=dict)
    identities: dict[str, int] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    dataset: Any = None
    observer: Observer | None = None

    def number(self, kind: str) -> int:
        """How many findings there are of a kind."""
        return sum(finding.kind == kind for finding in self.findings)


def survey_set(
    planned: PlannedSet, workers: int = 0, advance: Callable[[int, int], None] | None = None
) -> Survey:
    """Build a data set of a config and read all its samples.

    Args:
        planned: The data set.
        workers: Processes that read; 0 reads in this one.
        advance: Called with how many samples were read, and how many there are.

    Returns:
        The survey. A data set that cannot be built is a finding as well.
    """
    survey = Survey(planned)
    observer = Observer()
    try:
        # pycocotools prints that it reads.
        with (
            dataset_reading(planned.config['dataset'], f'{planned.key}.dataset'),
            redirect_stdout(io.StringIO()),
        ):
            dataset = DATASETS.build(planned.config['dataset'])
            if hasattr(dataset, 'full_init'):
                dataset.full_init()
    except Exception as error:  # whatever a data set raises of its files
        survey.findings.append(_of_the_set(error, planned.key))
        return survey
    check_while_reading(dataset, planned.outputs, observer)
    survey.kind = type(dataset).__name__
    survey.dataset, survey.observer = dataset, observer
    survey.names = [str(name) for name in getattr(dataset, 'metainfo', {}).get('classes') or ()]
    bases = list(base_datasets(dataset)) or [dataset]
    total = sum(len(base) for base in bases)
    survey.samples = total
    _Identities(bases).note(survey)
    unread = [finding for base in bases for finding in strays(base)]
    medians: dict[str, list[tuple[float, ...]]] = {}
    for base in bases:
        loader = DataLoader(
            Probe(base, observer),
            batch_size=CHUNK,
            num_workers=workers,
            collate_fn=pseudo_collate,
            worker_init_fn=start_worker,
            multiprocessing_context='fork' if workers else None,
        )
        try:
            for readings in loader:
                for reading in readings:
                    _add(survey, reading, medians)
                if advance:
                    advance(len(readings), total)
        except RuntimeError as error:  # a worker was ended by the system
            what = f'a process that read the samples ended: {error}'
            survey.findings.append(Finding(UNREADABLE, planned.key, what))
    # A file that is broken is named once.
    named = {finding.file for finding in survey.findings}
    survey.findings += [finding for finding in unread if finding.file not in named]
    _summarise(survey, medians)
    return survey


def _of_the_set(error: Exception, key: str) -> Finding:
    if isinstance(error, SampleError):
        return Finding(error.kind, error.file or key, error.what)
    name = getattr(error, 'filename', None)
    return Finding(UNREADABLE, str(name or key), str(error) or type(error).__name__)


class _Identities:
    """How many images each person of a data set has."""

    def __init__(self, bases: list[Any]) -> None:
        self.images: Counter[Any] = Counter()
        for base in bases:
            if not hasattr(base, 'get_data_info') or not len(base):
                continue
            if 'person_id' not in base.get_data_info(0):
                continue
            self.images.update(base.get_data_info(i)['person_id'] for i in range(len(base)))

    def note(self, survey: Survey) -> None:
        people = {person: number for person, number in self.images.items() if person > 0}
        if people:
            single = sum(number == 1 for number in people.values())
            survey.identities = dict(identities=len(people), with_one_image=single)


def _add(survey: Survey, reading: Reading, medians: dict[str, list[tuple[float, ...]]]) -> None:
    survey.findings += reading.findings
    survey.annotated.update(reading.maps)
    for name, counts in reading.counts.items():
        survey.counts.setdefault(name, Counter()).update(counts)
    for name, numbers in reading.ranges.items():
        medians.setdefault(name, []).append(numbers)
    if reading.size:
        for side, length in zip(('width', 'height'), reading.size, strict=True):
            low, high = survey.sizes.get(side, (length, length))
            survey.sizes[side] = [min(low, length), max(high, length)]


def _summarise(survey: Survey, medians: Mapping[str, list[tuple[float, ...]]]) -> None:
    for name, numbers in medians.items():
        lows, middles, highs, shares = zip(*numbers, strict=True)
        ordered = sorted(middles)
        survey.ranges[name] = dict(
            smallest=min(lows),
            smallest_median=ordered[0],
            middle_median=ordered[len(ordered) // 2],
            largest_median=ordered[-1],
            largest=max(highs),
            measured=sum(shares) / len(shares),
        )
    labels = survey.counts.get('gt_seg_map')
    if labels and labels[IGNORED] and not set(labels) - {BACKGROUND, IGNORED}:
        what = (
            'no pixel of all label maps is of a class but the first, and others are ignored (255): '
            'are they masks of black and white, to be divided by 255?'
        )
        survey.findings.append(Finding(IMPLAUSIBLE, survey.planned.key, what))


def number_of_findings(surveys: list[Survey]) -> dict[str, int]:
    """How many findings of each kind there are in several data sets."""
    return {kind: sum(survey.number(kind) for survey in surveys) for kind in KINDS}
