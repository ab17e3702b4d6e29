"""Checks all data of a config."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.registry import init_default_scope
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mmgradsplit.apis.preparation import prepare
from mmgradsplit.functional import derive_seed
from mmgradsplit.utils import seed_all, write_json
from mmgradsplit.visualization import draw_contact_sheet, save_figure

from .plan import planned_sets
from .report import as_json, said_numbers, show
from .survey import Survey, number_of_findings, survey_set

REPORT = 'check.json'


def check_data(
    config: str | Path | Config,
    *,
    out: str | Path | None = None,
    cfg_options: Mapping[str, Any] | None = None,
    workers: int | None = None,
    pictures: int = 8,
) -> int:
    """Read every file of every data set of a config as training and validation will.

    A summary is printed. The folder ``out`` gets ``check.json`` with all that was found and
    counted, and a contact sheet of each data set.

    Args:
        config: Config file, or a config.
        out: The folder; by default ``check`` in the config's ``work_dir``.
        cfg_options: Values for keys of the config.
        workers: Processes that read; by default as many as there are cores. 0 reads in this one.
        pictures: Samples of a contact sheet; 0 draws none.

    Returns:
        How many findings there are.

    Raises:
        FileNotFoundError: If there is no such config file.
        ValueError: If the config is not valid, or has no data set.
    """
    cfg = prepare(config, None, cfg_options)
    init_default_scope(cfg.default_scope)
    folder = Path(out) if out is not None else Path(cfg.work_dir, 'check')
    console = Console()
    surveys = []
    processes = (os.cpu_count() or 1) if workers is None else workers
    for planned in planned_sets(cfg):
        with _progress(console) as bar:
            task = bar.add_task(planned.key, total=None)
            surveys.append(
                survey_set(
                    planned,
                    processes,
                    lambda read, total: bar.update(task, advance=read, total=total),  # noqa: B023
                )
            )
    found = number_of_findings(surveys)
    content = dict(config=str(cfg.filename or ''), found=found, data_sets=as_json(surveys, cfg))
    write_json(folder / REPORT, content)
    drawn = [_draw(survey, folder, pictures) for survey in surveys] if pictures else []
    show(surveys, cfg, console)
    console.print(
        f'\nFound: {said_numbers(found)}. {folder / REPORT} has all of it'
        + (f', and {sum(drawn)} contact sheets lie beside it.' if drawn else '.'),
        soft_wrap=True,
        markup=False,
    )
    return sum(found.values())


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn('{task.description}'),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def _draw(survey: Survey, folder: Path, number: int) -> bool:
    """Write the contact sheet of a data set; return whether there is one."""
    observer, dataset = survey.observer, survey.dataset
    if observer is None or not len(dataset):
        return False
    samples = []
    for index in np.linspace(0, len(dataset) - 1, min(number, len(dataset))).astype(int):
        observer.start(int(index))
        seed_all(derive_seed(0, 'check', int(index)))
        try:
            dataset[int(index)]
        except Exception:  # it is among the findings
            continue
        if observer.ready is not None and 'img' in observer.ready:
            samples.append(observer.ready)
    if not samples:
        return False
    meta = getattr(dataset, 'metainfo', {})
    title = f'{survey.planned.key}: {len(samples)} of {len(dataset)} samples'
    name = survey.planned.key.replace('_dataloader', '').replace('.', '_')
    save_figure(draw_contact_sheet(samples, meta, title), folder / f'{name}.png')
    return True
