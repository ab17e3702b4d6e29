"""What the training loops share: positions, seeds, checks. May import torch, mmengine."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from mmengine.dist import get_rank
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import EpochBasedTrainLoop
from torch import nn

from mmgradsplit.functional import derive_seed
from mmgradsplit.utils import seed_all


class SeededTrainLoop(EpochBasedTrainLoop):
    """Epochs of iterations that consist of several steps, each with seeds of its own.

    Order and augmentation of the data, and the generators of each step, depend on the seed and the
    position alone, so a resumed run continues as if it had not stopped.

    Attributes:
        dataloader: A :class:`~.dataloaders.RoundRobinDataLoader`.
        steps_per_iter: Steps of an iteration, for a single wrapper of mmengine, which counts them.
    """

    steps_per_iter: int

    def steps(self, data_batch: Mapping[str, Any]) -> Iterator[tuple[str, dict, OptimWrapper]]:
        """The steps of an iteration.

        Args:
            data_batch: The batch of each stream.

        Yields:
            Name of the step, the batch for ``model.train_step``, and the wrapper that it takes.
        """
        raise NotImplementedError

    def collect(self, outputs: dict[str, Any], name: str, log_vars: Mapping[str, Any]) -> None:
        """Add what a step logs to the outputs of the iteration."""
        raise NotImplementedError

    def run(self) -> nn.Module:
        """Train, from the current iteration on.

        Raises:
            ValueError: If a checkpoint stands at another epoch length.
        """
        wrapper = self.runner.optim_wrapper
        if not isinstance(wrapper, OptimWrapperDict):
            steps = self.steps_per_iter
            wrapper.initialize_count_status(
                self.runner.model, self._iter * steps, self._max_iters * steps
            )
        try:
            return super().run()
        finally:
            self.dataloader.close()

    def run_epoch(self) -> None:
        """Run the epoch's iterations, from the current one on."""
        length = len(self.dataloader)
        done = self._iter - self._epoch * length
        if not 0 <= done <= length:
            raise ValueError(
                f'train_cfg.iters_per_epoch={length} does not fit the checkpoint, which stands at '
                f'epoch {self._epoch}, iteration {self._iter}; resume with the value it was made '
                f'with, or start from its weights with load_from'
            )
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        self.dataloader.seek(self._iter, self.runner.seed)
        # A checkpoint of the last iteration leaves no batch, but the end of the epoch, to be run.
        for idx, data_batch in zip(range(done, length), self.dataloader, strict=False):
            self.run_iter(idx, data_batch)
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1

    def run_iter(self, idx: int, data_batch: Mapping[str, Any]) -> None:
        """Run one iteration.

        Args:
            idx: Number of the iteration in its epoch.
            data_batch: The batch of each stream.

        Raises:
            FloatingPointError: If a loss is not finite, naming step, iteration and files.
        """
        self.runner.call_hook('before_train_iter', batch_idx=idx, data_batch=data_batch)
        outputs: dict[str, Any] = {}
        for name, batch, wrapper in self.steps(data_batch):
            seed_all(derive_seed(self.runner.seed, get_rank(), self._iter, name))
            log_vars = self.runner.model.train_step(batch, optim_wrapper=wrapper)
            self._check_finite(name, batch, log_vars)
            self.collect(outputs, name, log_vars)
        self.runner.call_hook(
            'after_train_iter', batch_idx=idx, data_batch=data_batch, outputs=outputs
        )
        self._iter += 1

    def _check_finite(self, name: str, batch: Mapping[str, Any], log_vars: Mapping) -> None:
        bad = [
            key
            for key, value in log_vars.items()
            if 'loss' in key and not torch.isfinite(torch.as_tensor(value)).all()
        ]
        if bad:
            raise FloatingPointError(
                f"task '{name}', iteration {self._iter}: {', '.join(bad)} is not finite. Files of "
                f'the batch: {_files(batch.get("data_samples", ()))}. Check these, or lower '
                f'optim_wrapper.optimizer.lr.'
            )


def _files(data_samples: Sequence) -> list[str]:
    return [str(getattr(sample, 'img_path', 'unknown')) for sample in data_samples]
