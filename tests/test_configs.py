"""Every config can be read, and every complete one builds a model whose heads fit its backbone."""

import re
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapperDict
from mmengine.registry import init_default_scope
from torch import nn

from mmgradsplit.apis.preparation import prepare
from mmgradsplit.registry import ALLOCATORS, MODELS, OPTIM_WRAPPER_CONSTRUCTORS

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = sorted((ROOT / 'configs').rglob('*.py'))
COMPLETE = [path for path in CONFIGS if '_base_' not in path.parts]
# Of mmdet's Mask R-CNN, whose two tasks are parts of one model.
DETECTORS = [path for path in COMPLETE if 'mask_rcnn' in path.stem]
STAGES = ('train', 'val', 'test')


def name(path: Path) -> str:
    return str(path.relative_to(ROOT / 'configs'))


@pytest.mark.parametrize('path', CONFIGS, ids=name)
def test_every_config_is_read(path: Path) -> None:
    assert len(Config.fromfile(path)) > 0


@pytest.fixture(scope='module', autouse=True)
def unset() -> Iterator[None]:
    """Leave weights as the memory was: drawing 50 million takes a second, and nobody looks."""
    kinds = (nn.modules.conv._ConvNd, nn.Linear)
    patches = [mock.patch.object(kind, 'reset_parameters', lambda self: None) for kind in kinds]
    for patch in patches:
        patch.start()
    yield
    for patch in patches:
        patch.stop()


_built: dict[str, nn.Module] = {}


def build(cfg: Config) -> nn.Module:
    """The config's model, by shapes alone; many configs have the same."""
    key = repr(cfg.model)
    if key not in _built:
        _built[key] = MODELS.build(cfg.model).to('meta').eval()
    return _built[key]


def loaders(cfg: Config, stage: str) -> dict:
    loaders = cfg.get(f'{stage}_dataloader') or {}
    return loaders if 'dataset' not in loaders else {'all': loaders}


@pytest.mark.parametrize('path', [p for p in COMPLETE if p not in DETECTORS], ids=name)
def test_every_complete_config_builds(path: Path) -> None:
    """Its model by shapes alone, with a forward pass of each task, and the optimizers."""
    cfg = prepare(path)
    init_default_scope(cfg.default_scope)
    model = build(cfg)
    tasks = list(model.tasks)
    assert tasks == cfg.tasks
    joint = cfg.train_cfg.type == 'JointTrainLoop'
    for stage in STAGES:
        expected = ['all'] if joint and stage == 'train' else tasks
        assert list(loaders(cfg, stage)) == expected
        for loader in loaders(cfg, stage).values():
            assert {'batch_size', 'num_workers', 'sampler', 'dataset'} <= set(loader)
    assert list(cfg.val_evaluator) == list(cfg.test_evaluator) == tasks

    images = torch.zeros(1, 3, 64, 64, device='meta')
    with torch.no_grad():
        for task in tasks:
            outputs = model(images, None, mode='tensor', task=task)
            assert all(len(output) == 1 for output in tensors(outputs))

    if 'pose' in tasks:
        assert_targets_fit(model, cfg)

    wrapper_cfg = cfg.optim_wrapper.copy()
    constructor = OPTIM_WRAPPER_CONSTRUCTORS.build(
        dict(
            type=wrapper_cfg.pop('constructor', 'DefaultOptimWrapperConstructor'),
            paramwise_cfg=wrapper_cfg.pop('paramwise_cfg', None),
            optim_wrapper_cfg=wrapper_cfg,
        )
    )
    wrapper = constructor(model)
    if joint:
        assert_joint(cfg, tasks)
    elif isinstance(wrapper, OptimWrapperDict):
        assert [wrapper[task].task for task in tasks] == tasks
    references = cfg.val_cfg.get('references')
    if references:
        assert {key.split('/')[0] for key in references} == set(tasks)
    best = cfg.default_hooks.checkpoint.get('save_best')
    assert best in (('delta_m', 'acc_mtl', None) if references else (None,))


@pytest.mark.parametrize('path', DETECTORS, ids=name)
def test_mask_rcnn_has_two_tasks_and_an_allocator(path: Path) -> None:
    cfg = prepare(path)
    init_default_scope(cfg.default_scope)
    cfg.model.backbone.init_cfg = None
    model = MODELS.build(cfg.model)
    assert list(model.tasks) == ['det', 'mask']
    allocator = ALLOCATORS.build(cfg.train_cfg.allocator)
    allocator.check(model.tasks)
    assert allocator.sub_steps(2) == (2 if path.stem.startswith('ista') else 1)
    # Half of mmdet's steps on Cityscapes, as in the paper; all of them on COCO, counted in epochs.
    epochs = dict(coco=(12, 12), cityscapes=(4, 2)).get(path.stem.rpartition('_')[2])
    if epochs:  # the four images of the sample have a schedule of their own
        assert cfg.train_cfg.max_epochs == epochs[path.stem.startswith('ista')]


def assert_joint(cfg: Config, tasks: list[str]) -> None:
    """The allocator fits the tasks, each of which has a field, and the image one preprocessor."""
    assert sorted(cfg.train_cfg.annotations) == sorted(tasks)
    ALLOCATORS.build(cfg.train_cfg.get('allocator', dict(type='FullTask'))).check(tasks)
    preprocessors = [cfg.model.tasks[task].data_preprocessor for task in tasks]
    assert all(of == preprocessors[0] for of in preprocessors)


def tensors(outputs: object) -> list[torch.Tensor]:
    if isinstance(outputs, torch.Tensor):
        return [outputs]
    assert isinstance(outputs, list | tuple)
    return [tensor for output in outputs for tensor in tensors(output)]


def assert_targets_fit(model: nn.Module, cfg: Config) -> None:
    """The pose head's heatmaps have the size of those that it is trained on, and decodes."""
    steps = cfg.train_dataloader.pose.dataset.pipeline
    targets = [step['encoder'] for step in steps if step['type'] == 'GenerateTarget']
    for codec in (cfg.model.tasks.pose.head.decoder, *targets):
        width, height = codec['input_size']
        with torch.no_grad():
            heatmaps = model(torch.zeros(1, 3, height, width, device='meta'), task='pose')
        assert heatmaps.shape[2:] == tuple(codec['heatmap_size'])[::-1]


def test_configs_have_names_of_their_own() -> None:
    """They name the working directories."""
    stems = [path.stem for path in COMPLETE]
    assert len(set(stems)) == len(stems)


DOCUMENTS = ('configs/README.md', 'docs/networks.md', 'README.md')
ROWS = ('gradsplit', 'multihead', 'single_task', 'dropgrad', 'amtl')


@pytest.mark.parametrize('document', DOCUMENTS)
def test_configs_that_a_document_names_exist(document: str) -> None:
    folders = '|'.join([*ROWS, 'cross_dataset', '_base_'])
    text = (ROOT / document).read_text()
    for path in re.findall(rf'`(?:configs/)?((?:{folders})/[\w/]+\.(?:py|json))`', text):
        assert (ROOT / 'configs' / path).is_file(), path


def test_the_table_of_rows_names_every_config() -> None:
    text = (ROOT / 'configs/README.md').read_text()
    rows = [name(path) for path in COMPLETE if path.parent.name in ROWS]
    assert not [row for row in rows if f'`{row}`' not in text]
