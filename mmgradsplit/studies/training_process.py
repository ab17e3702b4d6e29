"""One training in a process of its own: ``python -m mmgradsplit.studies.training_process DIR``."""

import sys
from pathlib import Path
from typing import Any

from filelock import FileLock
from mmengine.runner import Runner

from mmgradsplit.apis.train import train
from mmgradsplit.utils import fingerprint, write_json

from .comparison_choice import BEST
from .trainings import CONFIG, FAILURE, RESULT


def run(folder: Path) -> None:
    """Train ``config.py`` of a folder to its end, validate, and write ``result.json``.

    A training that was stopped goes on from its newest checkpoint. While another process trains in
    the folder, this one waits, and then has nothing to do. Where an exception ends the training,
    ``failure.json`` has its type and message until the next attempt.

    Args:
        folder: Work dir of the training.
    """
    with FileLock(folder / '.lock'):
        if (folder / RESULT).is_file():
            return
        (folder / FAILURE).unlink(missing_ok=True)
        try:
            runner = train(folder / CONFIG, work_dir=folder, resume='auto')
            metrics = {name: float(value) for name, value in _metrics(runner).items()}
        except Exception as error:
            write_json(folder / FAILURE, dict(type=type(error).__name__, message=str(error)))
            raise
        # NaN stays in it, so that who reads it can say which training diverged.
        weights = fingerprint(runner.model)
        write_json(folder / RESULT, dict(seed=runner.seed, metrics=metrics, weights=weights))


def _metrics(runner: Runner) -> dict[str, Any]:
    """Those of the validation at the end of the training; of one more, where there was none.

    Where the config says ``select='best'``, those of the best checkpoint, if there is any.
    """
    if runner.cfg.get('select') == BEST and 'best_ckpt' in runner.message_hub.runtime_info:
        runner.load_checkpoint(runner.message_hub.get_info('best_ckpt'))
        return runner.val_loop.run()
    iteration, metrics = getattr(runner.train_loop, 'metrics', None) or (None, {})
    return metrics if iteration == runner.iter else runner.val_loop.run()


if __name__ == '__main__':
    run(Path(sys.argv[1]))
