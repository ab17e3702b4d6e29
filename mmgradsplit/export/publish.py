"""A checkpoint for other people: weights, config, names, metrics and a model card."""

import copy
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.config import Config

from mmgradsplit.apis import load_model
from mmgradsplit.utils import read_checkpoint
from mmgradsplit.utils.safetensors_files import save_safetensors
from mmgradsplit.utils.tables import TextTable
from mmgradsplit.version import __version__

from .plain_model import toolbox_of

FORMATS = ('safetensors', 'pth')
# What a config says of the machine and the run, not of the network.
PRIVATE = ('work_dir', 'load_from', 'resume', 'experiment_name', 'launcher')
PRECAUTIONS = """\
## Before you use it

Networks that recognise people can be misused for unlawful surveillance. Use this one only where the
people who are seen have agreed to it or the law allows it, and not to single out, follow or
identify persons against their will. Its training images show people, whose privacy the terms of the
data sets protect; these terms go for what you do with the weights, too. Accuracy differs between
groups of people and places, and has not been measured for each: do not let a decision on a person
rest on its output alone.
"""


class Published(NamedTuple):
    """The files of a published network.

    Attributes:
        weights: Weights, config, names and metrics.
        card: The model card, in Markdown.
    """

    weights: Path
    card: Path


def publish(
    checkpoint: str | Path,
    to: str | Path,
    *,
    kind: str = 'safetensors',
    config: str | Path | Config | None = None,
    metrics: str | Path | None = None,
    name: str | None = None,
) -> Published:
    """Write a checkpoint without what only a training needs, and a model card beside it.

    Neither optimizer states nor pickled objects are in the file, nor where the run and the weights
    that it started from lay. All commands take it in place of a checkpoint.

    Args:
        checkpoint: Of a multi-task network.
        to: Folder for ``NAME-HASH.safetensors`` (or ``.pth``) and ``NAME-HASH.md``, where the hash
            is the beginning of the file's SHA-256.
        kind: ``'safetensors'`` or ``'pth'``.
        config: Config of the network; by default the one that the checkpoint holds.
        metrics: JSON file of metrics, such as ``mmgradsplit test --out`` writes it. By default
            those of ``summary.json`` beside the checkpoint, if they are of the same epoch.
        name: By default the config's name.

    Raises:
        FileNotFoundError: If a file is not there.
        FileExistsError: If the files are there already.
        ValueError: If the checkpoint is not one of a multi-task network, or ``kind`` is not known.
    """
    if kind not in FORMATS:
        raise ValueError(f"--format must be one of {', '.join(FORMATS)}, got '{kind}'")
    if not Path(checkpoint).is_file():
        raise FileNotFoundError(f"no checkpoint '{checkpoint}'")
    model: Any = load_model(config, checkpoint, 'cpu')
    content = read_checkpoint(checkpoint)
    values = _metrics(Path(checkpoint), content.get('meta', {}), metrics)
    meta = dict(
        cfg=_public(model.cfg).pretty_text,
        dataset_meta=model.dataset_meta,
        metrics=values,
        mmgradsplit_version=__version__,
    )
    folder, stem = Path(to), name or _name(model.cfg, content)
    folder.mkdir(parents=True, exist_ok=True)
    written = folder / f'{stem}.{kind}.part'
    if kind == 'safetensors':
        save_safetensors(model.state_dict(), meta, written)
    else:
        torch.save(dict(state_dict=model.state_dict(), meta=_without_arrays(meta)), written)
    digest = hashlib.sha256(written.read_bytes()).hexdigest()[:8]
    files = Published(folder / f'{stem}-{digest}.{kind}', folder / f'{stem}-{digest}.md')
    for file in files:
        if file.exists():
            written.unlink()
            raise FileExistsError(f"'{file}' is there already")
    written.rename(files.weights)
    files.card.write_text(_card(model, stem, files.weights.name, values), encoding='utf-8')
    return files


def _public(cfg: Config) -> Config:
    """A config without what it says of the machine and the run."""
    public = copy.deepcopy(cfg)
    for key in PRIVATE:
        public.pop(key, None)
    if public.get('custom_hooks'):
        public.custom_hooks = [
            hook for hook in public.custom_hooks if hook.get('type') != 'StartWeightsHook'
        ]
    _forget_local_files(public.model)
    return public


def _forget_local_files(config: Any) -> None:
    """Take out which files on this machine the parts of a model started from."""
    if isinstance(config, dict) and config.get('init_cfg'):
        given = config['init_cfg']
        rules = given if isinstance(given, list | tuple) else [given]
        kept = [rule for rule in rules if not _is_local(rule)]
        if len(kept) < len(rules):
            config['init_cfg'] = kept or None
    for part in config.values() if isinstance(config, dict) else config:
        if isinstance(part, dict | list | tuple):
            _forget_local_files(part)


def _is_local(rule: Mapping[str, Any]) -> bool:
    file = rule.get('checkpoint')
    return file is not None and '://' not in str(file)


def _name(cfg: Config, content: Mapping[str, Any]) -> str:
    given = content.get('meta', {}).get('experiment_name', '')
    if cfg.filename and not Path(cfg.filename).name.startswith('tmp'):
        return Path(cfg.filename).stem
    # mmengine names an experiment after the config and the time.
    return given.rsplit('_', 2)[0] or 'network'


def _metrics(
    checkpoint: Path, meta: Mapping[str, Any], given: str | Path | None
) -> dict[str, float]:
    if given is not None:
        if not Path(given).is_file():
            raise FileNotFoundError(f"--metrics: no file '{given}'")
        try:
            content = json.loads(Path(given).read_text(encoding='utf-8'))
            return _numbers(content)
        except (ValueError, AttributeError) as error:
            raise ValueError(
                f"--metrics: '{given}' is no JSON file of metrics by name, as `mmgradsplit test "
                f'--out` writes it'
            ) from error
    if meta.get('metrics'):  # published before
        return dict(meta['metrics'])
    summary = checkpoint.parent / 'summary.json'
    if not summary.is_file():
        return {}
    content = json.loads(summary.read_text(encoding='utf-8'))
    same = content.get('iterations') == meta.get('iter')
    return _numbers(content.get('trained') or {}) if same else {}


def _numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    return {key: float(value) for key, value in metrics.items() if isinstance(value, int | float)}


def _without_arrays(value: Any) -> Any:
    """Lists in place of NumPy's arrays, which only unpickling brings back."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, Mapping):
        return {key: _without_arrays(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(_without_arrays, value))
    return value


def _card(model: Any, name: str, file: str, metrics: Mapping[str, float]) -> str:
    rows = []
    for task, network in model.tasks.items():
        meta = model.dataset_meta.get(task) or {}
        classes = meta.get('classes') or [*(meta.get('keypoint_name2id') or {})]
        own = {
            key.partition('/')[2]: value
            for key, value in metrics.items()
            if key.startswith(f'{task}/')
        }
        rows.append(
            [
                task,
                f'{toolbox_of(type(network))}: {type(network).__name__}',
                ', '.join(map(str, classes)) or '-',
                ', '.join(f'{key} {value:.2f}' for key, value in own.items()) or 'not measured',
            ]
        )
    columns = ['task', 'model', 'classes', 'metrics']
    parameters = sum(each.numel() for each in model.parameters())
    size = f'{model.input_size[0]} x {model.input_size[1]}' if model.input_size else 'any'
    return f"""# {name}

One network for {len(rows)} tasks, trained with mmgradsplit {__version__}: a shared
{type(model.backbone).__name__} and a head for each task, {parameters / 1e6:.1f}M parameters. Images
of the first task were validated at {size} (width x height).

{TextTable(columns, rows, words=columns).markdown()}

The file holds weights, config and names, and no objects that have to be unpickled.

```python
from mmgradsplit.apis import load_model, predict_image

model = load_model(None, '{file}')
predictions = predict_image(model, 'image.jpg')
```

{PRECAUTIONS}"""
