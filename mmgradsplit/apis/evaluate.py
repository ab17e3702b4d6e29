"""Testing a checkpoint: what tools/test.py and a notebook call."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mmengine
from mmengine.config import Config
from mmengine.dist import is_main_process

from mmgradsplit.engine.hooks import OverviewHook
from mmgradsplit.engine.screen import ScreenRunner

from .preparation import check, prepare, start_processes


def evaluate(
    config: str | Path | Config,
    checkpoint: str | Path,
    *,
    work_dir: str | Path | None = None,
    out: str | Path | None = None,
    cfg_options: Mapping[str, Any] | None = None,
    launcher: str = 'none',
) -> dict[str, float]:
    """Measure a checkpoint on the test sets of a config.

    Args:
        config: Config file, or a config.
        checkpoint: File with the weights, or an address of one.
        work_dir: Where logs go. By default the config's ``work_dir``, else
            ``work_dirs/<name of the config file>``.
        out: JSON file to write the metrics to.
        cfg_options: Values for keys of the config.
        launcher: ``'none'``, ``'pytorch'``, ``'slurm'`` or ``'mpi'``.

    Returns:
        The metrics by name.

    Raises:
        FileNotFoundError: If the config or the checkpoint is not there.
    """
    if '://' not in str(checkpoint) and not Path(checkpoint).is_file():
        raise FileNotFoundError(f"no checkpoint '{checkpoint}'")
    cfg = prepare(config, work_dir, cfg_options, launcher)
    cfg.load_from, cfg.resume = str(checkpoint), False
    check(cfg, ['test'])
    start_processes(cfg)
    runner = ScreenRunner.from_cfg(cfg)
    runner.register_hook(OverviewHook())
    metrics = runner.test()
    if out is not None and is_main_process():
        Path(out).parent.mkdir(parents=True, exist_ok=True)
        mmengine.dump(metrics, out, file_format='json', indent=2)
    return metrics
