"""Two processes that train together by gloo, on the CPU."""

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import torch
import torch.multiprocessing as mp

from mmgradsplit.apis import stop_processes


def on_two_ranks(function: Callable[[int, Path], None], folder: Path, timeout: float = 180) -> None:
    """Call a function in two processes, in the environment that torchrun gives them.

    They are forked, as they have then imported everything already.

    Args:
        function: Gets the rank and ``folder``.
        folder: Where it writes what it finds.
        timeout: Seconds after which they are killed.

    Raises:
        TimeoutError: If they were.
    """
    folder.mkdir(parents=True, exist_ok=True)
    arguments = (function, folder, free_port())
    context = mp.start_processes(_rank, arguments, nprocs=2, join=False, start_method='fork')
    end = time.monotonic() + timeout
    while not context.join(timeout=1):
        if time.monotonic() > end:
            for process in context.processes:
                process.kill()
            raise TimeoutError(f'the two processes ran for more than {timeout} s')


def free_port() -> int:
    """A port that nobody uses."""
    with socket.socket() as place:
        place.bind(('127.0.0.1', 0))
        return place.getsockname()[1]


def _rank(rank: int, function: Callable[[int, Path], None], folder: Path, port: int) -> None:
    os.environ.update(
        RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE='2', MASTER_ADDR='127.0.0.1',
        MASTER_PORT=str(port), CUDA_VISIBLE_DEVICES='',
    )  # fmt: skip
    torch.set_num_threads(1)
    with mock.patch('mmengine.device.utils.DEVICE', 'cpu'):  # as found when it was imported
        function(rank, folder)
        stop_processes()
