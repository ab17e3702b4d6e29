"""Checkpoints that survive a kill while they are written."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner
from mmengine.utils import apply_to
from torch import Tensor

from mmgradsplit.registry import HOOKS
from mmgradsplit.utils import write_atomically

from .waiting import KEY, load_waiting_gradients, waiting_gradients


class AtomicBackend(LocalBackend):
    """Local files that appear under their name only when they are whole."""

    def put(self, obj: bytes | memoryview, filepath: str | Path) -> None:
        """Write ``obj`` beside ``filepath``, then move it there."""
        write_atomically(filepath, obj)


register_backend('atomic', AtomicBackend, force=True)


class _RemoveLater(AtomicBackend):
    """Collects what is to be removed instead of removing it."""

    def __init__(self) -> None:
        super().__init__()
        # With the inode: a new checkpoint of the same name is another file.
        self.outdated: list[tuple[Path, int]] = []

    def remove(self, filepath: str | Path) -> None:
        path = Path(filepath)
        self.outdated.append((path, path.stat().st_ino))


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """mmengine's CheckpointHook, made safe against a kill at any moment.

    A checkpoint appears under its name only when it is whole, and the checkpoints that it replaces
    (``max_keep_ckpts``, ``save_best``) are removed only after that. It also holds the gradients
    that wait for an update (``accumulative_counts``), so that a resumed run goes on to the same
    weights; and Python's numbers in place of NumPy's, which only unpickling brings back.

    Args:
        **kwargs: Arguments of mmengine's ``CheckpointHook`` for local files.
    """

    file_backend: Any

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(backend_args=dict(backend='atomic'), **kwargs)
        self._loaded: list[dict[str, Any]] = []
        # While this hook saves one, and not another hook of its kind.
        self._to_save: list[dict[str, Any]] = []

    def before_train(self, runner: Runner) -> None:
        """Take up where a resumed run was stopped."""
        super().before_train(runner)
        if runner.cfg.get('resume'):
            self._come_home(runner)
            if self._loaded:
                load_waiting_gradients(runner, self._loaded)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Take note of the gradients that waited."""
        self._loaded = checkpoint.get(KEY) or []

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add the gradients that wait; make plain what is NumPy's or lies otherwise in memory."""
        weights = checkpoint['state_dict']
        for name in [name for name, value in weights.items() if isinstance(value, Tensor)]:
            weights[name] = weights[name].contiguous()  # model.channels_last changes it
        for key in ('meta', 'message_hub', 'optimizer', 'param_schedulers'):
            if key in checkpoint:
                checkpoint[key] = apply_to(
                    checkpoint[key],
                    lambda each: isinstance(each, np.generic),
                    lambda each: each.item(),
                )
        if self._to_save:
            checkpoint[KEY] = self._to_save

    def _come_home(self, runner: Runner) -> None:
        """Look for the best checkpoints in this folder, which may be a copy of the first one."""
        hub = runner.message_hub
        for key in [*hub.runtime_info]:
            if key == 'last_ckpt' or key.startswith('best_ckpt'):
                hub.update_info(key, str(Path(self.out_dir, Path(hub.get_info(key)).name)))
        for key in self.key_indicators if self.save_best else ():
            alone = len(self.key_indicators) == 1
            best = hub.get_info('best_ckpt' if alone else f'best_ckpt_{key}', None)
            if alone:
                self.best_ckpt_path = best
            else:
                self.best_ckpt_path_dict[key] = best
            if best:
                template = f'best_{key}_{self.filename_tmpl}'.replace('/', '_')
                self._remove_left_over(runner, template, [Path(best).name])
        kept = hub.get_info('keep_ckpt_ids', None)
        if self.max_keep_ckpts > 0 and kept:
            names = [self.filename_tmpl.format(step) for step in kept]
            self._remove_left_over(runner, self.filename_tmpl, names)

    def _remove_left_over(self, runner: Runner, template: str, kept: list[str]) -> None:
        """Remove what a later checkpoint was to replace when the run was killed.

        Args:
            runner: mmengine's runner.
            template: Name of a checkpoint, with ``{}`` for its number.
            kept: The checkpoints to keep; those that come after where the run stands stay, too.
        """
        folder = Path(self.out_dir)
        if not is_main_process() or Path(runner.cfg.load_from).resolve().parent != folder.resolve():
            return  # the files in the folder are another run's
        before, _, after = template.partition('{}')
        pattern = re.compile(rf'{re.escape(before)}(\d+){re.escape(after)}')
        position = runner.epoch if self.by_epoch else runner.iter
        for path in folder.glob('*.pth'):
            found = pattern.fullmatch(path.name)
            if found and path.name not in kept and int(found[1]) <= position:
                path.unlink()

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        self._to_save = waiting_gradients(runner) if self.save_optimizer else []
        try:
            with self._remove_afterwards():
                super()._save_checkpoint_with_step(runner, step, meta)
        except OSError as error:
            if error.filename is None:  # mmengine's own file, on a full disk
                file = str(Path(runner.work_dir, 'last_checkpoint'))
                raise OSError(error.errno, error.strerror, file) from error
            raise
        finally:
            self._to_save = []

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        if self.save_best:  # otherwise it may be a validation without training, with no backend
            with self._remove_afterwards():
                super()._save_best_checkpoint(runner, metrics)

    @contextmanager
    def _remove_afterwards(self) -> Iterator[None]:
        backend, self.file_backend = self.file_backend, _RemoveLater()
        try:
            yield
            outdated = self.file_backend.outdated
        finally:
            self.file_backend = backend
        for path, inode in outdated:
            if path.stat().st_ino == inode:
                backend.remove(path)
