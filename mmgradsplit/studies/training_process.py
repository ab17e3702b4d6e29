"""One training in a process of its own: ``python -m mmgradsplit.studies.training_process``.

May import all of mmgradsplit.
"""

import sys
from pathlib import Path

from filelock import FileLock

from mmgradsplit.apis.train import train
from mmgradsplit.utils import write_json

CONFIG = 'config.py'
RESULT = 'result.json'


def run(folder: Path) -> None:
    """Train ``config.py`` of a folder to its end, validate once, and write ``result.json``.

    A training that was stopped goes on from its newest checkpoint. While another process trains in
    the folder, this one waits, and then has nothing to do.

    Args:
        folder: Work dir of the training.
    """
    with FileLock(folder / '.lock'):
        if (folder / RESULT).is_file():
            return
        runner = train(folder / CONFIG, work_dir=folder, resume='auto')
        metrics = {name: float(value) for name, value in runner.val_loop.run().items()}
        # NaN stays in it, so that who reads it can say which training diverged.
        write_json(folder / RESULT, dict(seed=runner.seed, metrics=metrics))


if __name__ == '__main__':
    run(Path(sys.argv[1]))
