"""A training in a process of its own that begins with everything imported.

May import the standard library and mmgradsplit.
"""

import multiprocessing
import os
from pathlib import Path

from . import training_process


class ForkedTraining:
    """Stands for the ``Popen`` of a training, and spares it seconds of imports.

    It is forked from a server, which imports once for all trainings and does nothing else. Where
    there is a GPU, CUDA must not be touched before a fork, and the imports do.

    Args:
        folder: Work dir of the training.
        output: File to which its output is added.
    """

    def __init__(self, folder: Path, output: Path) -> None:
        context = multiprocessing.get_context('forkserver')
        context.set_forkserver_preload([training_process.__name__])
        self.process = context.Process(target=_run, args=(Path.cwd(), folder, output))
        self.process.start()

    def poll(self) -> int | None:
        """The exit code, None while it runs."""
        return self.process.exitcode

    def terminate(self) -> None:
        """End it."""
        self.process.terminate()

    def wait(self) -> None:
        """Wait for its end."""
        self.process.join()


def _run(directory: Path, folder: Path, output: Path) -> None:
    os.chdir(directory)  # the server stays where it was started
    with output.open('a') as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    training_process.run(folder)
