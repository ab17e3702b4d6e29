"""Contexts that leave no trace in training."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from mmengine.runner import Runner


@contextmanager
def kept_generators() -> Iterator[None]:
    """After this context the generators of Python, NumPy and torch are as before."""
    python, array = random.getstate(), np.random.get_state()
    devices = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(array)


@contextmanager
def without_trace(runner: Runner) -> Iterator[None]:
    """Let the model run without a trace in training.

    Within this context no hook is called. After it, the random generators of Python, NumPy and
    torch and the mode of the model are as before.
    """
    hooks = list(runner.hooks)
    runner.hooks.clear()
    training = runner.model.training
    try:
        with kept_generators():
            yield
    finally:
        runner.model.train(training)
        runner.hooks.extend(hooks)
