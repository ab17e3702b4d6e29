"""Every config can be read, and every complete one builds a model and a method that fit it."""

import argparse
import functools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
import torch
from mmengine.config import Config, DictAction
from mmengine.registry import init_default_scope
from torch import nn

from mmgradsplit.apis.methods import is_ours, load_method, wrapper_class
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


@functools.cache
def read(path: Path) -> Config:
    return Config.fromfile(path)


@pytest.mark.parametrize('path', CONFIGS, ids=name)
def test_every_config_is_read(path: Path) -> None:
    assert len(read(path)) > 0


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
    cfg = prepare(read(path))
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

    assert_wrapper(cfg, model)
    if joint:
        assert_joint(cfg, tasks)
    references = cfg.val_cfg.get('references')
    if references:
        assert {key.split('/')[0] for key in references} == set(tasks)
    best = cfg.default_hooks.checkpoint.get('save_best')
    assert best in (('delta_m', 'acc_mtl', None) if references else (None,))


def assert_wrapper(cfg: Config, model: nn.Module) -> None:
    """Every parameter that is trained is in an optimizer, and the mask is one of the tasks."""
    wrapper_cfg = cfg.optim_wrapper.copy()
    constructor = OPTIM_WRAPPER_CONSTRUCTORS.build(
        dict(
            type=wrapper_cfg.pop('constructor', 'DefaultOptimWrapperConstructor'),
            paramwise_cfg=wrapper_cfg.pop('paramwise_cfg', None),
            optim_wrapper_cfg=wrapper_cfg,
        )
    )
    wrapper = constructor(model)
    assert type(wrapper) is wrapper_class(cfg.optim_wrapper)
    groups = wrapper.param_groups
    if is_ours(cfg.optim_wrapper):
        assert wrapper.tasks == list(model.tasks)
        bases = wrapper.optim_wrappers.values()
        groups = [group for base in bases for group in base.param_groups]
    if 'relations' in cfg.optim_wrapper:
        assert wrapper.mask.shape == (len(model.tasks),) * 2
        assert wrapper.mask.diagonal().all()
        assert wrapper.mask.all() == (cfg.optim_wrapper.relations == 'all' or len(model.tasks) == 1)
        assert {leaf.source for leaf in wrapper.leaves} == set(model.parameters())
    else:
        held = {param for group in groups for param in group['params']}
        assert {param for param in model.parameters() if param.requires_grad} <= held


@pytest.mark.parametrize('path', DETECTORS, ids=name)
def test_mask_rcnn_has_two_tasks_and_an_allocator(path: Path) -> None:
    cfg = prepare(read(path))
    init_default_scope(cfg.default_scope)
    cfg.model.backbone.init_cfg = None
    model = MODELS.build(cfg.model)
    assert list(model.tasks) == ['det', 'mask']
    allocator = ALLOCATORS.build(cfg.train_cfg.allocator)
    allocator.check(model.tasks)
    assert allocator.sub_steps(2) == (2 if path.stem.startswith('ista') else 1)
    # As many steps as mmdet's configs, of which an iteration of ISTA has two (STA, section 4.4).
    epochs = dict(coco=(12, 6), cityscapes=(8, 4)).get(path.stem.rpartition('_')[2])
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


def test_no_file_name_repeats_the_name_of_its_folder() -> None:
    for path in COMPLETE:
        assert f'_{path.parent.name}_' not in f'_{path.stem}_', name(path)


def test_configs_of_one_name_have_different_work_dirs() -> None:
    stems = [path.stem for path in COMPLETE]
    same = [path for path in COMPLETE if stems.count(path.stem) > 1]
    assert {path.parent.name for path in same} == {'gradsplit', 'multihead', 'dropgrad'}
    work_dirs = [prepare(read(path)).work_dir for path in same]
    assert len(set(work_dirs)) == len(work_dirs)


# ---- what the documents say ----

DOCUMENTS = [ROOT / 'README.md', ROOT / 'configs/README.md', *sorted(ROOT.glob('docs/**/*.md'))]
FOLDERS = '|'.join(sorted({path.relative_to(ROOT / 'configs').parts[0] for path in CONFIGS}))
README = (ROOT / 'configs/README.md').read_text()
COMMANDS = sorted(set(re.findall(r'`(tools/train\.py [^`]+)`', README)))


@pytest.mark.parametrize('document', DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_configs_that_a_document_names_exist(document: Path) -> None:
    text = document.read_text()
    named = re.findall(r'configs/([\w/]+\.(?:py|json))', text)
    named += re.findall(rf'`((?:{FOLDERS})/[\w/]+\.(?:py|json))`', text)
    for path in named:
        if 'NAME' in path:  # whichever the reader takes
            continue
        assert (ROOT / 'configs' / path).is_file(), path


def test_the_table_of_rows_names_every_config() -> None:
    rows = [name(path) for path in COMPLETE if path.parent.name != 'relations']
    assert not [row for row in rows if f'`{row}`' not in README]


@pytest.mark.parametrize('command', COMMANDS)
def test_a_row_s_command_changes_what_is_there(command: str) -> None:
    parser = argparse.ArgumentParser(exit_on_error=False)
    parser.add_argument('config')
    parser.add_argument('--method')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={})
    args = parser.parse_args(shlex.split(command)[1:])
    before = prepare(read(ROOT / args.config), method=args.method)
    cfg = prepare(read(ROOT / args.config), None, args.cfg_options, method=args.method)
    assert (cfg.method == args.method) if args.method else args.cfg_options
    for key, value in args.cfg_options.items():
        *parents, last = key.split('.')
        part, old = cfg, before
        for parent in parents:
            part, old = part[parent], old[parent]
        assert part[last] == value != old.get(last)
        if parents == ['optim_wrapper']:
            assert last in wrapper_class(cfg.optim_wrapper).config_keys
        if str(value).endswith('.json'):
            assert (ROOT / value).is_file()
    if 'tasks' in args.cfg_options:
        assert list(cfg.model.tasks) == args.cfg_options['tasks']
    elif args.method and 'allocator' in load_method(args.method).get('train_cfg', {}):
        assert ALLOCATORS.build(cfg.train_cfg.allocator).sub_steps(2) == 1 + ('ista' in command)
