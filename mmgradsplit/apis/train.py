"""Training: what tools/train.py and a notebook call."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner

from mmgradsplit.engine.hooks import OverviewHook
from mmgradsplit.engine.screen import ScreenRunner
from mmgradsplit.utils.checkpoint_files import CheckpointError, why_not_continue

from .checkpoints import checkpoint_folder, find_newest, numbered_checkpoints
from .config_changes import config_changes
from .preparation import check, prepare, start_processes, use_mixed_precision
from .start_weights import parts_to_load
from .work_dir_lock import only_run_in


def train(
    config: str | Path | Config,
    *,
    work_dir: str | Path | None = None,
    resume: str | Path | None = None,
    amp: bool = False,
    validate: bool = True,
    cfg_options: Mapping[str, Any] | None = None,
    launcher: str = 'none',
    method: str | None = None,
) -> Runner:
    """Train the model of a config.

    Args:
        config: Config file, or a config.
        work_dir: Where logs and checkpoints go. By default the config's ``work_dir``, else
            ``work_dirs/<name of the config file>``.
        resume: Checkpoint to continue from, or ``'auto'``: the newest whole one of ``work_dir``; if
            there is none, training starts anew.
        amp: Mixed precision, see :func:`~mmgradsplit.apis.preparation.use_mixed_precision`.
        validate: Whether to validate while training.
        cfg_options: Values for keys of the config, such as ``{'train_cfg.max_epochs': 3}``.
        launcher: ``'none'``, ``'pytorch'``, ``'slurm'`` or ``'mpi'``.
        method: Name of a method of ``configs/_base_/methods``, or a method file, in place of what
            the config trains by, see :func:`~mmgradsplit.apis.methods.use_method`.

    Returns:
        The runner, after training.

    Raises:
        FileExistsError: If ``work_dir`` holds the checkpoints of an earlier run and ``resume`` is
            not given, or another run trains there.
        FileNotFoundError: If the config or the checkpoint is not there.
        ValueError: If the checkpoint is not whole, or mixed precision does not fit the config.
    """
    cfg = prepare(config, work_dir, cfg_options, launcher, method)
    with only_run_in(cfg.work_dir, launcher):
        return _train(cfg, resume, amp, validate)


def _train(cfg: Config, resume: str | Path | None, amp: bool, validate: bool) -> Runner:
    """Train the model of a prepared config, in a work dir that is this run's alone."""
    if resume is None and cfg.get('resume'):
        resume = 'auto' if parts_to_load(cfg) else cfg.get('load_from') or 'auto'
    notices = _set_start(cfg, resume)
    parts = parts_to_load(cfg)
    if parts is not None:
        # The Runner knows one file for all; the config that it writes has the hook instead.
        cfg.load_from = None
        cfg.custom_hooks = [
            *(cfg.get('custom_hooks') or []), dict(type='StartWeightsHook', files=parts)
        ]  # fmt: skip
    if amp:
        use_mixed_precision(cfg)
    if not validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    notices += check(cfg, ['train', *(['val'] if cfg.get('val_cfg') is not None else [])])
    if cfg.resume:
        notices += config_changes(cfg, cfg.load_from)
    if start_processes(cfg):
        notices.append('No GPU: the processes exchange gradients by gloo, on the CPU.')
    runner = ScreenRunner.from_cfg(cfg)
    runner.register_hook(OverviewHook(notices))
    runner.train()
    return runner


def _set_start(cfg: Config, resume: str | Path | None) -> list[str]:
    """Set what training starts from; return it in words."""
    folder = checkpoint_folder(cfg)
    earlier = numbered_checkpoints(folder)
    cfg.resume = resume is not None
    if resume is None:
        if earlier:
            raise FileExistsError(
                f"work_dir '{cfg.work_dir}' holds the checkpoint {earlier[-1].name} of an earlier "
                f'run, which would be overwritten: continue that run with --resume, or choose '
                f'another --work-dir'
            )
        return [f'Training starts anew in {cfg.work_dir}.']
    if resume != 'auto':
        if not Path(resume).is_file():
            raise FileNotFoundError(f"--resume: no checkpoint '{resume}'")
        reason = why_not_continue(resume)
        if reason:
            raise CheckpointError(
                f"--resume: the checkpoint '{resume}' is damaged: {reason}; --resume without a "
                f'file takes the newest whole one of the work_dir'
            )
        cfg.load_from = str(resume)
        return [f'Training continues from {cfg.load_from}.']
    newest = find_newest(folder, cfg.work_dir)
    if newest.file is None:
        if newest.damaged:
            raise CheckpointError(
                f"--resume: none of the checkpoints in '{folder}' is whole "
                f'({", ".join(path.name for path in newest.damaged)}); remove them to start anew'
            )
        cfg.resume = False
        return [f'--resume: no checkpoint in {folder} yet, so training starts anew.']
    cfg.load_from = str(newest.file)
    return [
        *(f'{file.name} is damaged: {reason}.' for file, reason in newest.damaged.items()),
        f'Training continues from {cfg.load_from}.',
    ]
