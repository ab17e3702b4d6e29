"""Contexts that leave no trace in training."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from mmengine.runner import Runner
from torch import nn


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

    Within this context no hook is called, and nothing is compiled. After it, the random generators
    of Python, NumPy and torch and the mode of the model are as before.
    """
    hooks = list(runner.hooks)
    runner.hooks.clear()
    training = runner.model.training
    try:
        with kept_generators(), _uncompiled(runner.model):
            yield
    finally:
        runner.model.train(training)
        runner.hooks.extend(hooks)


@contextmanager
def _uncompiled(model: nn.Module) -> Iterator[None]:
    """Let modules run as they are: compiling for what is computed once costs more than it gains."""
    compiled = {each: each._compiled_call_impl for each in model.modules()}
    compiled = {each: call for each, call in compiled.items() if call is not None}
    try:
        for each in compiled:
            each._compiled_call_impl = None
        yield
    finally:
        for each, call in compiled.items():
            each._compiled_call_impl = call
