"""What a check of data found, on the screen and as JSON."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape

from mmgradsplit.utils.data_files import KINDS
from mmgradsplit.utils.tables import TextTable

from .plan import times_seen
from .survey import Survey

# How many findings of a kind of a data set are listed in the file.
LISTED = 1000
RARE = 12
LEARNED = dict(
    gt_label='images by class',
    gt_seg_map='pixels by class',
    bbox_label='boxes by class',
    keypoints='visible keypoints',
)
MEASURED = dict(
    gt_depth_map='depth (m)', gt_disparity_map='disparity (pixels)', gt_normal_map='normals'
)


def as_json(surveys: list[Survey], cfg: Any) -> list[dict[str, Any]]:
    """The surveys as JSON can hold them."""
    return [_one(survey, cfg) for survey in surveys]


def _one(survey: Survey, cfg: Any) -> dict[str, Any]:
    by_kind = {kind: [f for f in survey.findings if f.kind == kind] for kind in KINDS}
    return dict(
        key=survey.planned.key,
        also=survey.planned.also,
        type=survey.kind,
        samples=survey.samples,
        times_seen=times_seen(cfg, survey.planned, survey.samples),
        sizes=survey.sizes,
        annotated=dict(survey.annotated),
        found={kind: len(found) for kind, found in by_kind.items()},
        findings={
            kind: [dict(file=f.file, what=f.what, index=f.index) for f in found[:LISTED]]
            for kind, found in by_kind.items()
        },
        counts={
            name: {_name(survey, name, number): count for number, count in sorted(counts.items())}
            for name, counts in _complete(survey).items()
        },
        ranges=survey.ranges,
        identities=survey.identities,
    )


def show(surveys: list[Survey], cfg: Any, console: Console) -> None:
    """Print the surveys: a table of the data sets, then each with what is found and what it has."""
    columns = ['data set', 'type', 'samples', 'seen', 'found']
    rows = []
    for survey in surveys:
        seen = times_seen(cfg, survey.planned, survey.samples)
        rows.append(
            [
                survey.planned.key.replace('_dataloader', ''),
                survey.kind or 'cannot be built',
                str(survey.samples),
                '' if seen is None else f'{seen:.1f}x',
                said_numbers({kind: survey.number(kind) for kind in KINDS}),
            ]
        )
    console.print(TextTable(columns, rows, words=[*columns[:2], 'found']).for_terminal())
    for survey in surveys:
        console.print(f'\n[bold]{escape(survey.planned.key)}[/bold]')
        for line in _lines(survey):
            console.print(line, soft_wrap=True)


def said_numbers(found: Mapping[str, int]) -> str:
    """How many findings there are of each kind, in words."""
    return ', '.join(f'{number} {kind}' for kind, number in found.items() if number) or 'nothing'


def _lines(survey: Survey) -> list[str]:
    lines = []
    if survey.planned.also:
        lines.append(escape(f'  also read as {", ".join(survey.planned.also)}'))
    for kind in KINDS:
        found = [finding for finding in survey.findings if finding.kind == kind]
        if found:
            first = found[0]
            text = first.what if first.file in first.what else f'{first.file}: {first.what}'
            lines.append(f'  [red]{len(found)} {kind}[/red], the first: {escape(text)}')
    if survey.sizes:
        spans = (_span(survey.sizes[side]) for side in ('width', 'height'))
        lines.append(f'  images of {" x ".join(spans)} pixels')
    partly = {name: number for name, number in survey.annotated.items() if number < survey.samples}
    if partly:
        of = ', '.join(f'{name} of {number}' for name, number in partly.items())
        lines.append(f'  [yellow]not all samples are annotated[/yellow]: {of}')
    for name, counts in _complete(survey).items():
        lines.append(escape(f'  {LEARNED.get(name, name)}: {_histogram(survey, name, counts)}'))
        never = [_name(survey, name, number) for number, count in counts.items() if not count]
        # Identities have numbers, and a head may have outputs for more of them.
        if never and (survey.names or name == 'keypoints'):
            lines.append(f'  [yellow]never there[/yellow]: {escape(", ".join(never))}')
    for name, numbers in survey.ranges.items():
        lines.append(
            f'  {MEASURED.get(name, name)}: {numbers["smallest"]:.4g} to {numbers["largest"]:.4g}, '
            f'medians {numbers["smallest_median"]:.4g} to {numbers["largest_median"]:.4g}, '
            f'{100 * numbers["measured"]:.1f}% measured'
        )
    if survey.identities:
        lines.append(
            f'  {survey.identities["identities"]} identities, '
            f'{survey.identities["with_one_image"]} of them with one image'
        )
    return lines


def _complete(survey: Survey) -> dict[str, dict[int, int]]:
    """The counts, with a 0 for each class that never occurs."""
    complete = {}
    for name, counts in survey.counts.items():
        classes = 0 if name == 'keypoints' else survey.planned.outputs.get(name, len(survey.names))
        complete[name] = dict.fromkeys(range(classes), 0) | dict(counts)
    return complete


def _name(survey: Survey, learned: str, number: int) -> str:
    if learned == 'gt_seg_map' and number == 255:
        return 'ignored'
    if learned == 'keypoints':
        names: Mapping[int, Any] = getattr(survey.dataset, 'metainfo', {}).get(
            'keypoint_id2name', {}
        )
        return str(names.get(number, number))
    classes = survey.planned.outputs.get(learned, len(survey.names))
    fits = number < len(survey.names) == classes
    return survey.names[number] if fits else str(number)


def _histogram(survey: Survey, name: str, counts: Mapping[int, int]) -> str:
    """The largest shares or numbers in words; all of them are in the file."""
    total = max(sum(counts.values()), 1)
    ordered = sorted((item for item in counts.items() if item[1]), key=lambda item: -item[1])
    shown = ordered[:RARE]
    texts = [
        f'{_name(survey, name, number)} '
        + (f'{100 * count / total:.1f}%' if name == 'gt_seg_map' else str(count))
        for number, count in shown
    ]
    return ', '.join(texts) + (
        f', ... ({len(ordered)} in all)' if len(ordered) > len(shown) else ''
    )


def _span(span: list[int]) -> str:
    return str(span[0]) if span[0] == span[1] else f'{span[0]}..{span[1]}'
