"""Loading a checkpoint into a network that it has to fit."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn


def load_fitting(
    model: nn.Module, content: Mapping[str, Any], file: str | Path, same_tasks: bool = False
) -> list[str]:
    """Load the weights of a checkpoint into all of a network.

    Args:
        model: The network.
        content: The checkpoint: weights by name, or with weights as ``state_dict``.
        file: Where it is from, for the message of an error.
        same_tasks: Whether the checkpoint may have no tasks beside those of the network.

    Returns:
        The tasks of the checkpoint that the network does not have.

    Raises:
        ValueError: If the network lacks a tensor of the checkpoint, other than those of such a
            task, or has one more, or if one has another shape.
    """
    given = content.get('state_dict', content)
    if not isinstance(given, Mapping):
        raise ValueError(f"the checkpoint '{file}' holds no weights by name")
    weights = {
        str(name).removeprefix('module.'): value
        for name, value in given.items()
        if isinstance(value, Tensor)
    }
    own = model.state_dict()
    other = {
        name: f'{name} has the shape {list(weights[name].shape)}, not {list(value.shape)}'
        for name, value in own.items()
        if name in weights and weights[name].shape != value.shape
    }
    fitting = {name: value for name, value in weights.items() if name not in other}
    found = model.load_state_dict(fitting, strict=False)
    missing = [
        name
        for name in found.missing_keys
        # A counter that no computation reads, and files of old versions of torch lack.
        if name not in weights and not name.endswith('num_batches_tracked')
    ]
    tasks = list(getattr(model, 'tasks', ()))
    theirs = sorted({name.split('.')[1] for name in weights if name.startswith('tasks.')})
    others = [] if same_tasks else [task for task in theirs if task not in tasks]
    of_others = tuple(f'tasks.{task}.' for task in others)
    unknown = [name for name in found.unexpected_keys if not name.startswith(of_others)]
    if not (missing or unknown or other):
        return others
    differences = [f'{name} is missing' for name in missing]
    differences += [f'{name} is not in the model' for name in unknown]
    first = '; '.join([*other.values(), *differences][:3])
    count = f'{len(missing) + len(unknown) + len(other)} of {len(own)} tensors differ: {first}'
    if tasks:  # a multi-task network
        of = f'the tasks {theirs}' if theirs else 'no task'
        count = (
            f'it has weights of {of}, and the model has {tasks}; {count}. To start a training from '
            f"what fits, name the file for each part: load_from=dict(backbone='{file}')"
        )
    raise ValueError(f"the checkpoint '{file}' does not fit the config's model: {count}")
