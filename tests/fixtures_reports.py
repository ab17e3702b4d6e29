"""Work dirs as runs leave them, written by hand, and what a report shows of them."""

import io
import json
from pathlib import Path
from typing import Any

from mmengine.config import Config
from rich.console import Console

from mmgradsplit.studies.report import report

REFERENCES = {'pose/PCK': 80.0, 'depth/rmse': dict(value=0.5, lower_is_better=True)}


def write_run(
    folder: Path,
    seed: int = 0,
    pose: float | None = 60.0,
    depth: float = 0.6,
    loss: Any = 1.0,
    epochs: int = 4,
    references: dict | None = None,
    train_cfg: dict | None = None,
    stamp: str = '20260101_000000',
    logged: dict[str, float] | None = None,
    trained: dict[str, float] | None = None,
    **options: Any,
) -> Path:
    """A work dir of 4 epochs of 10 iterations as mmengine and our hooks leave it."""
    cfg = dict(
        model=dict(type='MultiTaskModel', order=['pose', 'depth']),
        train_cfg=train_cfg or dict(max_epochs=4, iters_per_epoch=10),
        val_cfg=dict(references=REFERENCES if references is None else references),
        randomness=dict(seed=seed),
        work_dir=str(folder),
        resume=False,
        **options,
    )
    logs = folder / stamp / 'vis_data'
    logs.mkdir(parents=True)
    Config(cfg).dump(logs / 'config.py')
    Config(cfg).dump(folder / 'net.py')
    lines = []
    for epoch in range(1, epochs + 1):
        for i in (5, 10):
            step = 10 * (epoch - 1) + i
            losses = {'pose/loss': loss / step, 'pose/loss_kpt': 3.0, 'depth/loss': 2.0}
            losses |= {name: step * value for name, value in (logged or {}).items()}
            lines.append({'pose.lr': 1, **losses, 'time': 0.1 * step, 'iter': step, 'step': step})
        lines.append({'pose/PCK': 10.0 * epoch, 'depth/rmse': 9.0, 'time': 7.0, 'step': epoch})
    (logs / 'scalars.json').write_text('\n'.join(map(json.dumps, lines)))
    metrics = {'pose/Elbow PCK': 1.0, 'pose/PCK': pose, 'depth/rmse': depth, **(trained or {})}
    summary = dict(config='net.py', seed=seed, iterations=10 * epochs, epochs=epochs,
                   untrained={'pose/PCK': 2.0}, trained=metrics)  # fmt: skip
    (folder / 'summary.json').write_text(json.dumps(summary))
    return folder


def shown(*work_dirs: Path, **options: Any) -> tuple[list, str]:
    """Rows, and what the terminal shows."""
    console = Console(width=200, file=io.StringIO())
    rows = report(work_dirs, console=console, **options)
    return rows, console.file.getvalue()  # type: ignore[attr-defined]
