"""Tells the weighting of the task losses what it cannot see. May import mmengine and this room."""

from collections.abc import Mapping
from typing import Any

from mmengine.hooks import Hook
from mmengine.optim import OptimWrapperDict
from mmengine.runner import Runner

from mmgradsplit.registry import HOOKS
from mmgradsplit.utils import unwrapped


@HOOKS.register_module()
class WeightingHook(Hook):
    """Hands ``model.weighting`` what it needs beside the losses of a step.

    - The metrics of each validation of the training: ``AMTLWeighting``, ``DTPWeighting``. An
      epoch's checkpoint is written before its validation, so a run that is resumed from one
      begins with that validation.
    - The end of each epoch: ``torchjd.DWA``.
    - The losses of an iteration's last step, computed anew after the update, at the price of a
      forward pass: ``torchjd.FAMO``.

    It does nothing for other weightings, and for models without one.

    Raises:
        ValueError: If the training cannot give what the weighting needs.
    """

    # Sees the weights after those hooks that swap them for a validation; is done before the
    # checkpoint of an epoch is written.
    priority = 'LOW'
    needs: frozenset[str] = frozenset()

    def before_train(self, runner: Runner) -> None:
        """Check that the weighting gets what it needs."""
        self.model: Any = unwrapped(runner.model)
        self.weighting: Any = getattr(self.model, 'weighting', None)
        self.needs = getattr(self.weighting, 'needs', frozenset())
        if 'metrics' in self.needs and runner.val_loop is None:
            raise ValueError(
                f'model.weighting ({self.weighting}) follows the accuracies of the validation, but '
                'there is none: set val_cfg, val_dataloader and val_evaluator'
            )
        loop: Any = runner.train_loop
        if 'metrics' in self.needs and loop.val_begin > loop.max_epochs:
            raise ValueError(
                f'model.weighting ({self.weighting}) follows the accuracies of the validation, but '
                f'train_cfg.val_begin={loop.val_begin} is after the last of '
                f'{loop.max_epochs} epochs: set train_cfg.val_begin=1 and val_interval=1'
            )
        if 'losses' in self.needs and (
            isinstance(runner.optim_wrapper, OptimWrapperDict)
            or set(self.model.tasks) <= set(runner.cfg.train_dataloader)
        ):
            raise ValueError(
                f'model.weighting ({self.weighting}) compares the losses of all tasks before and '
                'after one update, but this training updates task by task; take joint training '
                'with a single optim_wrapper, or another weighting'
            )
        if self.weighting is not None:
            self.weighting.hooked = True

    def before_train_epoch(self, runner: Runner) -> None:
        """Validate first, where a checkpoint was written before its epoch's validation."""
        if 'metrics' not in self.needs or runner.iter == 0:
            return
        loop: Any = runner.train_loop
        loop._decide_current_val_interval()
        due = runner.epoch >= loop.val_begin and runner.epoch % loop.val_interval == 0
        ended = runner.iter == runner.epoch * len(runner.train_dataloader)
        if due and ended and int(self.weighting.validated) < runner.iter:
            runner.logger.info(
                f'WeightingHook: the checkpoint is from before the validation of epoch '
                f'{runner.epoch}, which model.weighting ({self.weighting}) needs: validating ...'
            )
            runner.val_loop.run()

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Compute the losses after the update."""
        if 'losses' in self.needs:
            with runner.optim_wrapper.optim_context(runner.model):
                self.model.revise_weighting()

    def after_train_epoch(self, runner: Runner) -> None:
        """Tell the end of the epoch."""
        if 'epochs' in self.needs:
            self.weighting.end_epoch()

    def after_val_epoch(self, runner: Runner, metrics: Mapping[str, Any] | None = None) -> None:
        """Hand the metrics on, if the validation is one of a training."""
        if 'metrics' in self.needs and metrics is not None:
            self.weighting.update(metrics, runner.iter)

    def after_train(self, runner: Runner) -> None:
        """What is validated from now on is no part of the training."""
        self.needs = frozenset()
