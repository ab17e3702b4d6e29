"""Trains the cases of the trajectories, each in processes of its own, on one thread of the CPU."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from _trajectory_cases import CASES

ROOT = Path(__file__).resolve().parents[1]
TRAINING = Path(__file__).with_name('_trajectory_training.py')
Recorded = dict[str, Any]


def run_case(name: str, data: Path, coco: Path) -> Recorded:
    """Train a case in processes of its own.

    Args:
        name: Name of the case.
        data: Folder of the drawn data.
        coco: Folder of the COCO images.

    Returns:
        ``losses``, a dict for each iteration, ``weights``, the hash, and ``seconds``.

    Raises:
        RuntimeError: If a process fails.
    """
    case, start = CASES[name], time.perf_counter()
    losses: list[dict[str, str]] = []
    result: Recorded = {}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, 'trajectory.json')
        for part, epochs in enumerate(filter(None, (case.stop, case.epochs))):
            arguments = [
                TRAINING, name, out, '--data', data, '--coco', coco,
                '--work-dir', Path(folder, 'work'), '--epochs', epochs,
            ]  # fmt: skip
            if part:
                arguments.append('--resume')
            if case.processes > 1:
                distributed = ['--nproc_per_node', case.processes, '--master_port', _free_port()]
                arguments = ['-m', 'torch.distributed.run', *distributed, *arguments]
            run_python(*arguments)
            result = json.loads(out.read_text())
            losses += result['losses']
    if len(losses) != case.epochs * case.iterations:
        raise RuntimeError(f'{name}: losses of {len(losses)} iterations')
    return dict(result, losses=losses, seconds=round(time.perf_counter() - start, 1))


def _free_port() -> int:
    with socket.socket() as place:
        place.bind(('127.0.0.1', 0))
        return place.getsockname()[1]


def run_python(*arguments: Any) -> None:
    """Run Python with this project's code, on one thread of the CPU.

    Raises:
        RuntimeError: If it fails, with the end of what it said.
    """
    one = dict.fromkeys(('OMP_NUM_THREADS', 'MKL_NUM_THREADS', 'OPENBLAS_NUM_THREADS'), '1')
    path = os.pathsep.join(filter(None, (str(ROOT), os.getenv('PYTHONPATH'))))
    result = subprocess.run(
        [sys.executable, *map(str, arguments)],
        env=dict(os.environ, **one, PYTHONPATH=path, CUDA_VISIBLE_DEVICES=''),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors='replace',
    )
    if result.returncode:
        raise RuntimeError(result.stdout[-3000:])
