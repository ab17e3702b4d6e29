"""Pictures of what was learned, after training."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mmgradsplit.registry import HOOKS
from mmgradsplit.utils import unwrapped
from mmgradsplit.utils.tracing import without_trace

from . import PanelMaker, draw_relations, save_figure

TRIAL_GALLERY = 8


@HOOKS.register_module()
class PanelHook(Hook):
    """Draws panels of validation images, and the relation mask, when training has ended.

    A panel shows an image of one task's data set with what all tasks predict of it in a single
    backbone pass, and its nearest gallery neighbours where the data set has queries. With
    GradSplit, ``relation_mask.png`` shows the mask. Before training one panel of each data set is
    drawn and thrown away, so that what is wrong with the data or the config comes to light then;
    at the end, a full disk is a warning.

    Args:
        num_images: Number of panels of each task's data set.
        images_from: The task or tasks whose validation images are drawn; by default, all whose
            data sets have image files.
        num_neighbours: Gallery neighbours of each query.
        size: (width, height) that the images are resized to for the network; by default, that of
            each data set's own pipeline.
        folder: Folder of the panels, below ``work_dir``.

    Raises:
        ValueError: If there is no ``val_dataloader`` with the data sets of a MultiTaskModel, or no
            such task.
    """

    def __init__(
        self,
        num_images: int = 2,
        images_from: str | Sequence[str] | None = None,
        num_neighbours: int = 8,
        size: tuple[int, int] | None = None,
        folder: str = 'panels',
    ) -> None:
        self.num_images = num_images
        self.images_from = images_from
        self.num_neighbours = num_neighbours
        self.size = size
        self.folder = folder

    @master_only
    def before_train(self, runner: Runner) -> None:
        """Draw one panel of each data set and the mask on trial, without writing them."""
        with without_trace(runner):
            for _ in self._maker(runner).panels(1, gallery_size=TRIAL_GALLERY):
                pass
            for _ in self._relations(runner):
                pass

    @master_only
    def after_train(self, runner: Runner) -> None:
        """Draw and write the pictures."""
        folder = Path(runner.work_dir, self.folder)
        try:
            with without_trace(runner):
                for name, panel in self._maker(runner).panels(self.num_images):
                    save_figure(panel, folder / f'{name}.png')
                for figure in self._relations(runner):
                    save_figure(figure, Path(runner.work_dir, 'relation_mask.png'))
        except OSError as error:
            runner.logger.log(logging.WARNING, f'PanelHook: no (further) pictures: {error}')
        else:
            runner.logger.info(f'PanelHook: the pictures are in {folder}.')

    def _maker(self, runner: Runner) -> PanelMaker:
        model = unwrapped(runner.model)
        loaders = getattr(getattr(runner.val_loop, 'dataloader', None), 'dataloaders', None)
        if loaders is None or not hasattr(model, 'tasks'):
            raise ValueError(
                'PanelHook draws the validation images of a MultiTaskModel: set val_cfg.type to '
                "'MultiTaskValLoop' with its val_dataloader, or leave PanelHook out of custom_hooks"
            )
        loader: DataLoader[Any] = next(iter(loaders.values()))
        return PanelMaker(
            model,
            {task: loader.dataset for task, loader in loaders.items()},
            images_from=self.images_from,
            num_neighbours=self.num_neighbours,
            size=self.size,
            batch_size=loader.batch_size or 1,
            num_workers=loader.num_workers,
        )

    @staticmethod
    def _relations(runner: Runner) -> Iterator[Figure]:
        """The relation mask, if there is one."""
        wrapper = runner.optim_wrapper
        if hasattr(wrapper, 'mask'):
            yield draw_relations(wrapper.mask, wrapper.tasks, wrapper.changes, wrapper.threshold)
