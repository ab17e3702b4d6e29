"""Starting from plain checkpoints of the toolboxes: the backbone and each task from a file."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor, nn

from mmgradsplit.models import TaskNorm
from mmgradsplit.registry import HOOKS
from mmgradsplit.utils import CheckpointError, did_you_mean, read_checkpoint, unwrapped
from mmgradsplit.utils.tables import TextTable

BACKBONE = 'backbone'
# Below which key files keep their weights: mmengine's, and those of other projects.
NESTED = ('state_dict', 'model', 'model_state_dict')


@dataclass
class Taken:
    """What a part of a network took from a file; names of tensors.

    Attributes:
        part: ``'backbone'``, or the task.
        file: The file.
        taken: What it has from the file now.
        other_shape: What the file has in another shape; it stays as initialised.
        missing: What the file does not have; it stays as initialised.
        unused: What the file has and the part does not.
    """

    part: str
    file: str
    taken: list[str] = field(default_factory=list)
    other_shape: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)


@HOOKS.register_module()
class StartWeightsHook(Hook):
    """Loads weights part by part after all were initialised: what ``load_from`` becomes.

    Args:
        files: A file, or an address, by part: ``'backbone'`` or the name of a task.
    """

    priority = 'VERY_HIGH'

    def __init__(self, files: Mapping[str, str]) -> None:
        self.files = dict(files)

    def before_train(self, runner: Runner) -> None:
        """Load them and log what was taken, unless the run continues an earlier one."""
        if not runner.cfg.get('resume'):
            runner.logger.info(describe(load_parts(unwrapped(runner.model), self.files)))


def parts_to_load(cfg: Config) -> dict[str, str] | None:
    """The files of ``load_from`` by part, or None where it names one checkpoint or none.

    Args:
        cfg: Config of a MultiTaskModel.

    Raises:
        ValueError: If it names a part that the model does not have.
        FileNotFoundError: If a file is not there.
    """
    files = cfg.get('load_from')
    if not isinstance(files, Mapping):
        return None
    known = [BACKBONE, *cfg.model.get('tasks', {})]
    for part, file in files.items():
        if part not in known:
            hint = did_you_mean(part, known)
            raise ValueError(f"load_from: the model has no part '{part}', only {known}{hint}")
        if '://' not in str(file) and not Path(file).is_file():
            raise FileNotFoundError(f"load_from.{part}: no file '{file}'")
    return {part: str(file) for part, file in files.items()}


def load_parts(model: Any, files: Mapping[str, str]) -> list[Taken]:
    """Load weights of plain checkpoints into the parts of a network.

    The backbone takes what is below ``backbone.`` in a toolbox's checkpoint, or all of a file of
    ImageNet weights as torchvision and timm have them. A task takes the rest of a toolbox's
    checkpoint (its head and neck), or what is its own in a checkpoint of mmgradsplit. The norms by
    task of :class:`~mmgradsplit.models.TaskNorm` all take the plain norm of the file.

    Args:
        model: A :class:`~mmgradsplit.models.MultiTaskModel`; its weights change in place.
        files: A file, or an address, by part: ``'backbone'`` or the name of a task.

    Returns:
        What each part took.

    Raises:
        ValueError: If a file has no weights, or none that fits its part.
        OSError: If a file cannot be read or downloaded.
    """
    found = []
    for part, file in files.items():
        module: nn.Module = model.backbone if part == BACKBONE else model.tasks[part]
        weights = dict(_of_all_tasks(module, _of_part(read_weights(file, part), part)))
        own = module.state_dict()
        result = Taken(part, file)
        for name, value in weights.items():
            if name not in own:
                result.unused.append(name)
            elif own[name].shape != value.shape:
                result.other_shape.append(name)
            else:
                result.taken.append(name)
        result.missing = [name for name in own if name not in weights]
        if not result.taken:
            raise ValueError(
                f"load_from.{part}: nothing in '{file}' fits: {len(result.other_shape)} tensors "
                f'have another shape, and {len(result.unused)} another name, such as '
                f'{_some(result.unused)}; the model has {_some(list(own))}'
            )
        module.load_state_dict({name: weights[name] for name in result.taken}, strict=False)
        found.append(result)
    return found


def read_weights(file: str, part: str) -> dict[str, Tensor]:
    """The tensors of a checkpoint file by name.

    Args:
        file: A ``.pth`` or ``.safetensors`` file, or an address as mmengine knows them.
        part: For which part of the network, for the message of an error.

    Raises:
        ValueError: If there is none in it, or it is no checkpoint.
        OSError: If it cannot be read or downloaded.
    """
    try:
        content: Any = read_checkpoint(file)
    except (OSError, CheckpointError) as error:
        raise type(error)(f'load_from.{part}: {error}') from error
    for key in NESTED:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
            break
    tensors = content.items() if isinstance(content, Mapping) else ()
    weights = {
        str(name).removeprefix('module.'): value
        for name, value in tensors
        if isinstance(value, Tensor)
    }
    if not weights:
        raise ValueError(f"load_from.{part}: there are no weights in '{file}'")
    return weights


def _of_part(weights: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    """What of a file's weights is for a part, by the names that the part has for them."""
    of_backbone = f'{BACKBONE}.'
    if part != BACKBONE:
        prefix = f'tasks.{part}.'
        if any(name.startswith('tasks.') for name in weights):  # a checkpoint of mmgradsplit
            return _below(weights, prefix)
        return {name: each for name, each in weights.items() if not name.startswith(of_backbone)}
    return _below(weights, of_backbone) or dict(weights)


def _below(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): each for name, each in weights.items() if name.startswith(prefix)
    }


def _of_all_tasks(module: nn.Module, weights: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """Weights of a plain norm as those of every task's norm, all others as they are."""
    norms = {
        name: list(each) for name, each in module.named_modules() if isinstance(each, TaskNorm)
    }
    for name, value in weights.items():
        parent, _, leaf = name.rpartition('.')
        for task in norms.get(parent, ['']):
            yield (f'{parent}.{task}.{leaf}' if task else name), value


def describe(found: list[Taken]) -> str:
    """What each part took, as a table and with the names of what it did not take."""
    kinds = {'other_shape': 'other shape', 'missing': 'not in the file', 'unused': 'not used'}
    rows = [
        [each.part, each.file, *(str(len(getattr(each, kind))) for kind in ('taken', *kinds))]
        for each in found
    ]
    columns = ['part', 'file', 'taken', *kinds.values()]
    lines = ['Weights to start from (tensors):']
    lines.append(TextTable(columns, rows, words=('part', 'file')).markdown())
    for each in found:
        for kind, words in kinds.items():
            names = getattr(each, kind)
            if names:
                lines.append(f'{each.part}, {words}: {_some(names)}')
    return '\n'.join(lines)


def _some(names: list[str], most: int = 5) -> str:
    more = f' and {len(names) - most} more' if len(names) > most else ''
    return ', '.join(names[:most]) + more
