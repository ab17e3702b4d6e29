"""Starts the processes of distributed training: what ``tools/dist_*.sh`` call.

It is ``torchrun``, which finds a free port where none is given, and says in a line which process
failed.
"""

import logging
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

# By which torchrun ends the other processes when one has failed.
ENDED = signal.SIGTERM
# Exit code of a process that a user has stopped.
STOPPED = 128 + signal.SIGINT


def launch(number: str, script: str, arguments: Sequence[str]) -> None:
    """Run a script in several processes of this machine, and wait for them.

    The variables NNODES, NODE_RANK, MASTER_ADDR and PORT say where those of several machines meet.

    Args:
        number: Processes on this machine.
        script: The script.
        arguments: Its arguments.

    Raises:
        SystemExit: If a process fails, with its exit code, or if they are stopped.
    """
    if not number.isdigit() or not int(number):
        raise SystemExit(f"error: PROCESSES is the number of processes, at least 1, got '{number}'")
    meet = meeting_point(os.environ.get('NNODES', '1'), os.environ.get('PORT'))
    try:
        _launch([*meet, f'--nproc-per-node={number}', script, *arguments])
    except KeyboardInterrupt:  # before there are processes
        print('\nStopped.', file=sys.stderr)
        raise SystemExit(STOPPED) from None


def _launch(arguments: Sequence[str]) -> None:
    from torch.distributed import DistError
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import main

    # torchrun tells the same of each process, with a traceback of its own.
    logging.disable(logging.ERROR)
    try:
        main(arguments)
    except ChildFailedError as error:
        rank, failure = min(error.failures.items(), key=_guilt)
        if failure.exitcode != STOPPED:  # rank 0 has said so
            print(f'error: rank {rank} failed: {_reason(failure)}', file=sys.stderr)
        raise SystemExit(failure.exitcode if failure.exitcode > 0 else 1) from None
    except SignalException as error:
        raise SystemExit(128 + error.sigval) from None
    except DistError as error:
        text = str(error).splitlines()[0]
        print(f'error: the processes cannot meet: {text}; set another PORT', file=sys.stderr)
        raise SystemExit(1) from None


def meeting_point(machines: str, port: str | None) -> list[str]:
    """Where the processes meet, as arguments of torchrun."""
    if machines == '1' and port is None:
        return ['--standalone', '--local-addr=127.0.0.1']  # at a free port
    return [
        f'--nnodes={machines}',
        f'--node-rank={os.environ.get("NODE_RANK", "0")}',
        f'--master-addr={os.environ.get("MASTER_ADDR", "127.0.0.1")}',
        f'--master-port={port or 29500}',
    ]


def _guilt(item: tuple) -> tuple:
    """Sorts failures: what left an error, what was killed, what ended because of others."""
    rank, failure = item
    has_error = isinstance(failure.message, dict)
    return not has_error, failure.exitcode == -ENDED, failure.exitcode > 0, failure.timestamp, rank


def _reason(failure: Any) -> str:
    if isinstance(failure.message, dict):
        return failure.message['message'].removeprefix('RuntimeError: ')
    if failure.exitcode < 0:
        why = ', as the system does where memory is short' if failure.exitcode == -9 else ''
        return f'it was killed by {failure.signal_name()}{why}'
    return f'exit code {failure.exitcode}; what it said is above'


if __name__ == '__main__':
    launch(sys.argv[1], sys.argv[2], sys.argv[3:])
