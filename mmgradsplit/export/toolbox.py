"""One task of a checkpoint as config and checkpoint of its own toolbox."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.config import Config, ConfigDict
from mmengine.registry import DefaultScope
from mmengine.runner import save_checkpoint
from torch import Tensor

from mmgradsplit.apis import load_model
from mmgradsplit.functional import Placement
from mmgradsplit.registry import DATA_SAMPLERS, DATASETS, METRICS, MODELS, TRANSFORMS
from mmgradsplit.utils import chosen_tasks, pipeline_of, write_atomically
from mmgradsplit.version import __version__
from mmgradsplit.visualization import make_sample

from .parts import own_types, package_name, part_sources, renamed, write_parts
from .plain_model import SCOPE, TOOLBOXES, PlainModel, absolute, plain_model

# How each toolbox draws, for the options of its tools.
VISUALIZERS = {
    'mmpose': ('PoseLocalVisualizer', 'PoseVisualizationHook'),
    'mmseg': ('SegLocalVisualizer', 'SegVisualizationHook'),
    'mmpretrain': ('UniversalVisualizer', 'VisualizationHook'),
    'mmdet': ('DetLocalVisualizer', 'DetVisualizationHook'),
}
FALLBACK_SIZE = (128, 128)


class ExportedTask(NamedTuple):
    """The files of an exported task.

    Attributes:
        config: The config.
        checkpoint: The checkpoint.
        notes: What to know of the export, a sentence each.
    """

    config: Path
    checkpoint: Path
    notes: list[str]


def export_task(
    checkpoint: str | Path, task: str, to: str | Path, config: str | Path | Config | None = None
) -> ExportedTask:
    """Write one task as plain config and checkpoint of its own toolbox.

    As :func:`export_tasks` for a single task.
    """
    (exported,) = export_tasks(checkpoint, [task], to, config)
    return exported


def export_tasks(
    checkpoint: str | Path,
    tasks: Sequence[str] | None,
    to: str | Path,
    config: str | Path | Config | None = None,
) -> list[ExportedTask]:
    """Write tasks as plain configs and checkpoints of their own toolboxes.

    The toolboxes' own tools and inferencers run them where mmgradsplit is not installed. Each model
    is built and compared before it is written: on a random image its outputs are those of the
    multi-task network, bit for bit.

    Args:
        checkpoint: Of a multi-task network.
        tasks: Names of the tasks, or None for all.
        to: Folder for ``TASK.py``, ``TASK.pth`` and, where they need parts of mmgradsplit, a
            package of these.
        config: Config of the network; by default the one that the checkpoint holds.

    Raises:
        FileNotFoundError: If the checkpoint or the config is not there.
        FileExistsError: If a file of this name is in the folder.
        KeyError: If there is no such task.
        ValueError: If a plain model cannot express a task.
    """
    if not Path(checkpoint).is_file():
        raise FileNotFoundError(f"no checkpoint '{checkpoint}'")
    model: Any = load_model(config, checkpoint, 'cpu')
    chosen = chosen_tasks(tasks, list(model.tasks))
    for task in chosen:
        for file in _files(to, task):
            if file.exists():
                raise FileExistsError(
                    f"'{file}' is there already: choose another folder, or remove it"
                )
    plain = {task: plain_model(model, model.cfg.model, task) for task in chosen}
    for task in chosen:
        _compare(model, task, plain[task], _size(model.cfg, task))
    return [_write(model, task, plain[task], Path(to), Path(checkpoint).name) for task in chosen]


def _files(to: str | Path, task: str) -> tuple[Path, Path]:
    return Path(to, f'{task}.py'), Path(to, f'{task}.pth')


def _write(model: Any, task: str, plain: PlainModel, to: Path, source: str) -> ExportedTask:
    """Write config, checkpoint and parts of a task."""
    data, notes = _data(model.cfg, task), []
    if not data:
        notes.append(f'the config has no test set, since the network had none for {task} alone')
    sources = part_sources({*own_types(plain.config)})
    try:
        sources.update(part_sources({*own_types(data)}))
    except ValueError as error:
        data = {}
        notes.append(f'the config has no test set; add one of {plain.toolbox} ({error})')
    content: dict[str, Any] = dict(
        default_scope=plain.toolbox, model=plain.config, **data, **_runtime(plain.toolbox)
    )
    imports = write_parts(sources, to)
    if sources:
        parts = ', '.join(sorted({*own_types(content)}))
        notes.append(f'{parts}: parts of mmgradsplit, written to {to / package_name(sources)}')
    others = sorted(toolbox for toolbox in TOOLBOXES if f"'{toolbox}." in repr(content))
    imports = [f'{other}.models' for other in others if other != plain.toolbox] + imports
    if imports:
        content['custom_imports'] = dict(imports=imports, allow_failed_imports=False)
    files = _files(to, task)
    text = _text(renamed(content), task, source, bool(sources))
    write_atomically(files[0], text.encode())
    meta = dict(dataset_meta=model.dataset_meta.get(task, {}), mmgradsplit_version=__version__)
    save_checkpoint(dict(meta=meta, state_dict=plain.weights), str(files[1]))
    return ExportedTask(*files, notes)


def _compare(model: Any, task: str, plain: PlainModel, size: tuple[int, int]) -> None:
    """Build the plain model and compare its outputs with the network's."""
    with DefaultScope.overwrite_default_scope(plain.toolbox):
        # mmdet reads the keys of a config as attributes.
        built = MODELS.build(ConfigDict(plain.config))
    # Buffers of preprocessors are not saved.
    missing, unexpected = built.load_state_dict(plain.weights, strict=False)
    if missing or unexpected:
        raise ValueError(
            f"task '{task}' cannot be expressed as a model of {plain.toolbox}: the plain model "
            f'lacks {[*unexpected][:3]} and has besides {[*missing][:3]}'
        )
    image = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(0))
    width_height = size[::-1]
    # Detectors of two stages cut their proposals off at the image's border, which a sample says.
    samples = [make_sample(built, Placement(width_height, width_height, (1.0, 1.0)))]
    with torch.no_grad():
        ours = model(image, samples, task=task, mode='tensor')
        theirs = built.eval()(image, samples, mode='tensor')
    if not _same(ours, theirs):
        raise ValueError(
            f"task '{task}' cannot be expressed as a model of {plain.toolbox}: on a random image "
            f'the plain model has other outputs'
        )


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor):
        return torch.equal(one, other)
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)


def _loader(cfg: Config, task: str) -> dict[str, Any]:
    """The loader of a task's test set, empty where it has none of its own."""
    loaders = cfg.get('test_dataloader') or cfg.get('val_dataloader') or {}
    return dict(loaders.get(task) or {})


def _size(cfg: Config, task: str) -> tuple[int, int]:
    """(height, width) of the task's images in validation."""
    for step in pipeline_of(_loader(cfg, task).get('dataset')):
        size = step.get('input_size') or step.get('scale')
        if isinstance(size, list | tuple) and len(size) == 2:
            return int(size[1]), int(size[0])
    return FALLBACK_SIZE


def _data(cfg: Config, task: str) -> dict[str, Any]:
    """Test set and metric of a task for the toolbox's tools, where it has a test set of its own."""
    loader = _loader(cfg, task)
    if not loader:
        return {}
    dataset = _with_absolute_steps(loader['dataset'], SCOPE)
    loader['dataset'] = absolute(DATASETS, dataset, SCOPE)
    if 'sampler' in loader:
        loader['sampler'] = absolute(DATA_SAMPLERS, loader['sampler'], SCOPE)
    evaluators = cfg.get('test_evaluator') or cfg.get('val_evaluator') or {}
    evaluator = absolute(METRICS, evaluators.get(task, []), SCOPE)
    data: dict[str, Any] = dict(
        val_dataloader=loader,
        test_dataloader=loader,
        val_evaluator=evaluator,
        test_evaluator=evaluator,
        val_cfg=dict(),
        test_cfg=dict(),
    )
    # What mmpose's inferencer asks its configs for.
    if 'data_mode' in dataset:
        data.update(data_mode=dataset['data_mode'], dataset_type=dataset['type'])
    return data


def _with_absolute_steps(dataset: Any, scope: str) -> Any:
    """A data set, or one around others, whose pipelines name the packages of their steps."""
    if isinstance(dataset, list | tuple):
        return [_with_absolute_steps(each, scope) for each in dataset]
    dataset = dict(dataset)
    scope = dataset.get('_scope_') or scope
    if 'pipeline' in dataset:
        dataset['pipeline'] = absolute(TRANSFORMS, dataset['pipeline'], scope)
    for key in ('dataset', 'datasets'):
        if key in dataset:
            dataset[key] = _with_absolute_steps(dataset[key], scope)
    return dataset


def _runtime(toolbox: str) -> dict[str, Any]:
    visualizer, hook = VISUALIZERS[toolbox]
    return dict(
        default_hooks=dict(
            timer=dict(type='IterTimerHook'),
            logger=dict(type='LoggerHook', interval=50),
            param_scheduler=dict(type='ParamSchedulerHook'),
            checkpoint=dict(type='CheckpointHook', interval=1),
            sampler_seed=dict(type='DistSamplerSeedHook'),
            visualization=dict(type=hook),
        ),
        env_cfg=dict(
            cudnn_benchmark=False,
            mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
            dist_cfg=dict(backend='nccl'),
        ),
        visualizer=dict(
            type=visualizer, vis_backends=[dict(type='LocalVisBackend')], name='visualizer'
        ),
        log_level='INFO',
        load_from=None,
        resume=False,
    )


def _text(content: Mapping[str, Any], task: str, source: str, parts: bool) -> str:
    head = f"# Task '{task}' of {source}, written by mmgradsplit {__version__}.\n"
    if parts:
        head += (
            '# The modules of custom_imports lie beside this file.\n'
            'import sys\n\n'
            'sys.path.insert(0, r"""{{ fileDirname }}""")\n'
        )
    return head + Config(dict(content)).pretty_text
