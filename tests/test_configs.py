"""Every config can be read, and every complete one builds a model whose heads fit its backbone."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.utils import import_modules_from_strings

from mmgradsplit.registry import MODELS, OPTIM_WRAPPER_CONSTRUCTORS

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = sorted((ROOT / 'configs').rglob('*.py'))
COMPLETE = [path for path in CONFIGS if '_base_' not in path.parts]


def name(path: Path) -> str:
    return str(path.relative_to(ROOT / 'configs'))


@pytest.mark.parametrize('path', CONFIGS, ids=name)
def test_every_config_is_read(path: Path) -> None:
    assert len(Config.fromfile(path)) > 0


def loaders(cfg: Config, stage: str) -> dict:
    loaders = cfg.get(f'{stage}_dataloader') or {}
    return loaders if 'dataset' not in loaders else {'all': loaders}


@pytest.mark.parametrize('path', COMPLETE, ids=name)
def test_every_complete_config_builds(path: Path) -> None:
    """With random weights, one forward pass of each task, and the optimizers."""
    cfg = Config.fromfile(path)
    init_default_scope(cfg.default_scope)
    import_modules_from_strings(**cfg.custom_imports)
    torch.manual_seed(0)
    model = MODELS.build(cfg.model).eval()
    tasks = list(model.tasks)
    for stage in ('train', 'val', 'test'):
        assert list(loaders(cfg, stage)) == tasks
        for loader in loaders(cfg, stage).values():
            assert {'batch_size', 'num_workers', 'sampler', 'dataset'} <= set(loader)
    assert list(cfg.val_evaluator) == list(cfg.test_evaluator) == tasks

    with torch.no_grad():
        for task in tasks:
            outputs = model(torch.zeros(1, 3, 64, 64), None, mode='tensor', task=task)
            assert all(torch.isfinite(output).all() for output in tensors(outputs))

    wrapper_cfg = cfg.optim_wrapper.copy()
    constructor = OPTIM_WRAPPER_CONSTRUCTORS.build(
        dict(
            type=wrapper_cfg.pop('constructor', 'DefaultOptimWrapperConstructor'),
            paramwise_cfg=wrapper_cfg.pop('paramwise_cfg', None),
            optim_wrapper_cfg=wrapper_cfg,
        )
    )
    wrapper = constructor(model)
    assert [wrapper[task].task for task in tasks] == tasks
    if 'references' in cfg.val_cfg:
        assert sorted(key.split('/')[0] for key in cfg.val_cfg.references) == sorted(tasks)


def tensors(outputs: object) -> list[torch.Tensor]:
    if isinstance(outputs, torch.Tensor):
        return [outputs]
    assert isinstance(outputs, list | tuple)
    return [tensor for output in outputs for tensor in tensors(output)]
