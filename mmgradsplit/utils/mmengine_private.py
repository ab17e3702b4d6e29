"""Every private name of mmengine's that is used, in one place.

mmengine has no public means for these. Each is named with the version that it was seen in, and
``tests/test_utils/test_mmengine_private.py`` looks whether the installed one still has it.

Overridden, or read and written by a subclass:

- ``EpochBasedTrainLoop._epoch``, ``_iter``, ``_max_epochs``, ``_max_iters`` (0.10.12): the position
  of a training loop, by :class:`~mmgradsplit.engine.loops.seeded.SeededTrainLoop`.
- ``BaseDataset._metainfo`` (0.10.12): what a data set tells of itself, of which ``metainfo`` is a
  copy, by :class:`~mmgradsplit.datasets.Market1501`.
- ``CheckpointHook._save_checkpoint_with_step``, ``_save_best_checkpoint`` (0.10.12): by
  :class:`~mmgradsplit.engine.hooks.AtomicCheckpointHook`.

Used through the functions below:

- ``OptimWrapper._inner_count`` (0.10.12): how many backward passes it has counted.
- ``BaseModule._params_init_info`` (0.10.12): the note of an initialisation that failed.
- The text of NumPy's error for a data set without a sample, which
  ``BaseDataset._serialize_data`` lets through (0.10.12).
- ``Config._format_python_code`` (0.10.12): whether a config is formatted by yapf whenever it is
  written.
- ``print`` in the module ``mmengine.logging.logger``, by which ``print_log`` says what it is given
  without a logger, of whatever level it is (0.10.12).
- The text of ``build_from_cfg``'s error for a type that is not registered (0.10.12).
"""

import re
from typing import Any

from mmengine.config import Config
from mmengine.logging import logger as logger_module
from mmengine.optim import OptimWrapper
from torch import nn

NO_SAMPLES = 'need at least one array to concatenate'
UNKNOWN_TYPE = re.compile(r'(\S+) is not in the mmgradsplit::\w+ registry')


def count_backward(wrapper: OptimWrapper) -> None:
    """Count a backward pass that was done without ``OptimWrapper.backward``."""
    wrapper._inner_count += 1


def forget_failed_init(module: nn.Module) -> None:
    """Let the weights be initialised again, after an attempt that ended in an error."""
    for each in module.modules():
        vars(each).pop('_params_init_info', None)


def is_no_samples(error: ValueError) -> bool:
    """Whether an error is the one that an empty ``BaseDataset`` ends in."""
    return NO_SAMPLES in str(error)


def write_unformatted(cfg: Config) -> None:
    """Let a config be written as mmengine puts it together, which is as readable.

    yapf takes more than a second to format it, and a run writes it five times before its first
    iteration and once more for each checkpoint. ``Config.fromfile`` has an option for it, which it
    does not pass on (0.10.12).
    """
    vars(cfg)['_format_python_code'] = False


def silence_print_log(beginnings: tuple[str, ...]) -> None:
    """Let ``print_log`` without a logger print all but messages that begin so.

    The toolboxes say by it, at import and at the level DEBUG, what they cannot import; mmengine has
    no switch for it.

    Args:
        beginnings: How the messages begin.
    """

    def show(message: Any) -> None:
        if not str(message).startswith(beginnings):
            print(message)

    # A name of the module goes before the builtin of that name.
    vars(logger_module)['print'] = show


def unknown_type(error: KeyError) -> str | None:
    """The type that mmgradsplit's registries do not have, where that is the error."""
    found = UNKNOWN_TYPE.match(str(error.args[0])) if error.args else None
    return found[1] if found else None
