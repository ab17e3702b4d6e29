"""What a run shows on the screen, and what it leaves to its log file."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process

from mmgradsplit.utils import CONFIG_JSON, load_fitting, read_checkpoint, unwrapped, write_json
from mmgradsplit.utils.mmengine_private import silence_print_log

from .keyed_runner import KeyedRunner

# How messages of the log begin that are for the log file alone, each with the reason.
FOR_THE_FILE = (
    '\n------------------------------------------------------------\nSystem environment:',
    'Config:\n',  # a file of its own has it
    'Hooks will be executed in the following order:',
    'Distributed training is not used, all SyncBatchNorm',  # said of every network
    'paramwise_options -- ',  # a line for each parameter and option
    'Checkpoints will be saved to ',  # OverviewHook says it
    'Exp name: ',  # the same at every thousandth iteration
    'The prefix is not set in metric class ',  # MultiTaskEvaluator puts the task in front
    '"FileClient" will be deprecated',  # mmengine's own CheckpointHook uses it
    '"HardDiskBackend" is the alias',  # likewise
    'Image shapes are different in the batch.',  # mmseg, of original sizes; inputs have one size
)
# Warnings of the toolboxes about themselves, as (beginning of the message, module), each with the
# reason why a user can do without it. All other warnings are shown.
OF_TOOLBOXES = (
    # mmseg, of its own default.
    (r'Default ``avg_non_ignore`` is False', r'mmseg\.models\.losses'),
    # mmpose, which finds the file in its own package, whatever the folder it is run from.
    (r'The metainfo config file .* will be used instead', r'mmpose\.datasets\.datasets\.utils'),
    # mmpose, whose validation pipelines compute centre and scale a second time.
    (r'Use the existing "bbox_center" and "bbox_scale"', r'mmpose\.datasets\.transforms'),
    # mmdet, of a metric that nothing uses unless a config names it.
    (r'faster_coco_eval is not installed', r'mmdet\.evaluation\.metrics'),
)
# How what is printed without a logger begins, each with the reason.
PRINTED_BY_TOOLBOXES = (
    'Could not import OneDL',  # a kind of data set that is not installed and that nothing asks for
)


class ScreenRunner(KeyedRunner):
    """mmengine's runner, whose screen shows what a user wants to know.

    Environment, config and hooks are in the log file alone. ``log_level='DEBUG'`` in the config
    shows everything. And a checkpoint has to fit the model: nothing is trained or measured into
    which a part of it, or nothing, was loaded.
    """

    def load_checkpoint(
        self, filename: str, map_location: Any = 'cpu', *_: Any, **__: Any
    ) -> dict[str, Any]:
        """Load the weights of a checkpoint, which have to fit.

        Args:
            filename: The file.
            map_location: As in ``torch.load``.

        Raises:
            ValueError: If it does not fit the model, or is no checkpoint.
        """
        checkpoint = read_checkpoint(filename, map_location)
        # Of mmcv's time; resuming would run it.
        (checkpoint.get('meta') or {}).pop('config', None)
        self.call_hook('after_load_checkpoint', checkpoint=checkpoint)
        same = bool(self.cfg.get('resume'))
        others = load_fitting(unwrapped(self.model), checkpoint, filename, same_tasks=same)
        unused = f', without its tasks {others}' if others else ''
        self.logger.info(f'Load checkpoint from {filename}{unused}')
        return checkpoint

    def build_logger(self, *args: Any, **kwargs: Any) -> logging.Logger:
        """The logger of mmengine, whose screen leaves out what is for the log file."""
        logger = super().build_logger(*args, **kwargs)
        for handler in _screens(logger):
            if handler.level > logging.DEBUG:
                handler.addFilter(for_the_screen)
        return logger

    def dump_config(self) -> None:
        """Write the config to the work dir, and as JSON beside the log, where it can be read."""
        super().dump_config()
        if is_main_process():
            file = Path(self.log_dir, 'vis_data', CONFIG_JSON)
            # What JSON does not know, such as a class, is there as text, or not at all.
            write_json(file, self.cfg.to_dict(), default=str, skipkeys=True)


def for_the_screen(record: logging.LogRecord) -> bool:
    """Whether a record of the log is shown on the screen."""
    return not str(record.msg).startswith(FOR_THE_FILE)


def silence_toolboxes() -> None:
    """Hide what the toolboxes are known to say about themselves; all else is shown."""
    for message, module in OF_TOOLBOXES:
        warnings.filterwarnings('ignore', message, UserWarning, module)
    silence_print_log(PRINTED_BY_TOOLBOXES)


@contextmanager
def warnings_alone(logger: logging.Logger) -> Iterator[None]:
    """Within this context only warnings and errors reach the screen; the log file has the rest."""
    levels = {handler: handler.level for handler in _screens(logger)}
    try:
        for handler, level in levels.items():
            handler.setLevel(max(level, logging.WARNING))
        yield
    finally:
        for handler, level in levels.items():
            handler.setLevel(level)


def _screens(logger: logging.Logger) -> list[logging.Handler]:
    # A file handler is a stream handler, too.
    return [handler for handler in logger.handlers if not isinstance(handler, logging.FileHandler)]
