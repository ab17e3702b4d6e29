"""Checkpoints that survive a kill while they are written."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner
from torch import Tensor

from mmgradsplit.registry import HOOKS
from mmgradsplit.utils import write_atomically


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
    (``max_keep_ckpts``, ``save_best``) are removed only after that.

    Args:
        **kwargs: Arguments of mmengine's ``CheckpointHook`` for local files.
    """

    file_backend: Any

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(backend_args=dict(backend='atomic'), **kwargs)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Give the weights the plain form in memory, which ``model.channels_last`` changes."""
        weights = checkpoint['state_dict']
        for name in [name for name, value in weights.items() if isinstance(value, Tensor)]:
            weights[name] = weights[name].contiguous()

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        with self._remove_afterwards():
            super()._save_checkpoint_with_step(runner, step, meta)

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
