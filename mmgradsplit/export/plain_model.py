"""One task of a multi-task network as a model that its own toolbox can build.

Only names and configs change; every tensor stays as it is.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mmengine.registry import Registry
from torch import Tensor

from mmgradsplit.models import (
    BackboneWithNeck,
    DenseRegressor,
    MultiTaskModel,
    RegressionHead,
    ResNetStage,
    TaskNorm,
)
from mmgradsplit.registry import MODELS

SCOPE = 'mmgradsplit'
TOOLBOXES = ('mmpose', 'mmseg', 'mmpretrain', 'mmdet')
# What mmseg's DepthEstimator predicts.
DEPTH = 'gt_depth_map'


@dataclass
class PlainModel:
    """A task's model with a backbone of its own.

    Attributes:
        toolbox: The toolbox of the model's type, such as ``'mmpose'``: the scope of the config.
        config: The model's config.
        weights: Its ``state_dict``.
    """

    toolbox: str
    config: dict[str, Any]
    weights: dict[str, Tensor]


def plain_model(model: MultiTaskModel, cfg: Mapping[str, Any], task: str) -> PlainModel:
    """Express one task of a network as a model of its own toolbox.

    The norms by task of :class:`~mmgradsplit.models.TaskNorm` become plain batch norms, the neck of
    a :class:`~mmgradsplit.models.BackboneWithNeck` the model's neck, a
    :class:`~mmgradsplit.models.ResNetStage` the last stage of the backbone, and a
    :class:`~mmgradsplit.models.DenseRegressor` of depth mmseg's ``DepthEstimator``.

    Args:
        model: The network with its weights.
        cfg: Its config, the config's ``model``.
        task: Name of the task.

    Raises:
        ValueError: If the network has something that a model of one task cannot express.
    """
    config = copy.deepcopy(dict(cfg['tasks'][task]))
    config['backbone'] = copy.deepcopy(dict(cfg['backbone']))
    weights = {f'backbone.{key}': value for key, value in model.backbone.state_dict().items()}
    weights.update(model.tasks[task].state_dict())
    # The scope in which MultiTaskModel builds the task.
    scope = config.pop('_scope_', None) or str(config['type']).rpartition('.')[0] or SCOPE
    toolbox = toolbox_of(type(model.tasks[task]))
    for rule in (_shared_neck, _stage_as_neck, _norms_by_task, _depth_head):
        weights = rule(model, config, weights, task)
    config['backbone'] = absolute(MODELS, config['backbone'], SCOPE)
    config = absolute(MODELS, config, scope)
    # Weights come from the checkpoint: nothing has to be downloaded.
    config['backbone'].pop('init_cfg', None)
    return PlainModel(toolbox, config, weights)


def _shared_neck(
    model: MultiTaskModel, config: dict[str, Any], weights: dict[str, Tensor], task: str
) -> dict[str, Tensor]:
    """The neck behind a shared backbone becomes the neck of the task's model."""
    if not isinstance(model.backbone, BackboneWithNeck):
        return weights
    if config.get('neck'):
        raise ValueError(
            f'model.tasks.{task} has a neck of its own behind the neck that all tasks share: a '
            f'model of one task has one neck'
        )
    shared = config['backbone']
    config['backbone'], config['neck'] = dict(shared['backbone']), dict(shared['neck'])
    config['neck'] = absolute(MODELS, config['neck'], SCOPE)
    renamed = {}
    for key, value in weights.items():
        for part in ('backbone', 'neck'):
            prefix = f'backbone.{part}.'
            if key.startswith(prefix):
                key = f'{part}.{key.removeprefix(prefix)}'
                break
        renamed[key] = value
    return renamed


def _stage_as_neck(
    model: MultiTaskModel, config: dict[str, Any], weights: dict[str, Tensor], task: str
) -> dict[str, Tensor]:
    """A stage of a ResNet that is the task's neck becomes the backbone's last stage."""
    neck = getattr(model.tasks[task], 'neck', None)
    if not isinstance(neck, ResNetStage):
        return weights
    stage, backbone = config.pop('neck'), config['backbone']
    number, stages = int(stage.get('stage', 4)), int(backbone.get('num_stages', 4))
    same = ('depth', 'base_channels', 'norm_cfg')
    if (
        number != stages + 1
        or tuple(backbone.get('out_indices', ())) != tuple(range(stages))
        or any(stage.get(key) != backbone.get(key) for key in same)
    ):
        raise ValueError(
            f'model.tasks.{task}.neck is a stage that does not continue model.backbone: it must be '
            f'stage {stages + 1} with its {", ".join(same)}, and the backbone must hand out all '
            f'of its stages'
        )
    backbone['num_stages'] = number
    backbone['out_indices'] = tuple(range(number))
    for key, first, added in (
        ('strides', (1, 2, 2, 2), int(stage.get('stride', 2))),
        ('dilations', (1, 1, 1, 1), 1),
    ):
        backbone[key] = (*tuple(backbone.get(key, first))[:stages], added)
    return {
        f'backbone.{key.removeprefix("neck.")}' if key.startswith('neck.') else key: value
        for key, value in weights.items()
    }


def _norms_by_task(
    model: MultiTaskModel, config: dict[str, Any], weights: dict[str, Tensor], task: str
) -> dict[str, Tensor]:
    """The task's own norms become plain ones."""
    norms = [
        name for name, module in model.backbone.named_modules() if isinstance(module, TaskNorm)
    ]
    if not norms:
        return weights
    if isinstance(model.backbone, BackboneWithNeck):
        raise ValueError('norms by task in a backbone with a shared neck cannot be exported')
    given = config['backbone']['norm_cfg']
    plain = {'type': 'BN', **(given.get('norm') or {})}
    if 'eps' in given:
        plain.setdefault('eps', given['eps'])
    if plain['type'] not in ('BN', 'BN2d', 'SyncBN'):
        raise ValueError(
            f"model.backbone.norm_cfg has norms of the type '{plain['type']}' for each task, whose "
            f'names a plain backbone would choose otherwise; batch norms can be exported'
        )
    config['backbone']['norm_cfg'] = plain
    kept = {}
    for key, value in weights.items():
        norm = next((norm for norm in norms if key.startswith(f'backbone.{norm}.')), None)
        if norm is None:
            kept[key] = value
            continue
        of_task, _, leaf = key.removeprefix(f'backbone.{norm}.').partition('.')
        if of_task == task:
            kept[f'backbone.{norm}.{leaf}'] = value
    return kept


def _depth_head(
    model: MultiTaskModel, config: dict[str, Any], weights: dict[str, Tensor], task: str
) -> dict[str, Tensor]:
    """A head of mmseg that regresses depth becomes the head of mmseg's ``DepthEstimator``.

    Other fields stay as they are: the toolbox would call them depth, and normals get their length
    from :class:`~mmgradsplit.models.DenseRegressor`.
    """
    network: Any = model.tasks[task]
    # A class that inherits from these may compute something else.
    if type(network) is not DenseRegressor or type(network.decode_head) is not RegressionHead:
        return weights
    if network.decode_head.field != DEPTH:
        return weights
    config['type'] = 'mmseg.DepthEstimator'
    config['decode_head'] = absolute(MODELS, dict(config['decode_head']['head']), 'mmseg')
    prefix = 'decode_head.head.'
    return {
        f'decode_head.{key.removeprefix(prefix)}' if key.startswith(prefix) else key: value
        for key, value in weights.items()
    }


# ---- names of types ----


def found_type(registry: Registry, name: Any, scope: str) -> type | None:
    """The class that a config's ``type`` names, or None where the registry does not have it.

    Args:
        registry: Where it is looked up.
        name: As a config has it.
        scope: In which it is looked up.
    """
    if not isinstance(name, str):
        return None
    with registry.switch_scope_and_registry(scope) as scoped:
        return scoped.get(name)


def toolbox_of(kind: type) -> str:
    """The toolbox that defines a class, or the base of a class of mmgradsplit.

    Raises:
        ValueError: If there is none.
    """
    packages = [each.__module__.partition('.')[0] for each in kind.__mro__]
    toolbox = next((package for package in packages if package in TOOLBOXES), None)
    if toolbox is None:
        raise ValueError(f'{kind.__name__} is not a model of one of {", ".join(TOOLBOXES)}')
    return toolbox


def absolute(registry: Registry, config: Any, scope: str) -> Any:
    """A config whose types name the package that defines them, wherever it is built.

    Those of mmengine, mmcv and torch stay as they are, since every toolbox finds them; so do types
    of other registries.

    Args:
        registry: Where the types are registered.
        config: A part of a config.
        scope: In which it is built; a ``_scope_`` of the config comes before it.
    """
    if isinstance(config, list | tuple):
        return type(config)(absolute(registry, each, scope) for each in config)
    if not isinstance(config, Mapping):
        return config
    config = dict(config)
    scope = config.get('_scope_') or scope
    if scope == SCOPE:
        config.pop('_scope_', None)
    kind = found_type(registry, config.get('type'), scope)
    if kind is not None:
        package = kind.__module__.partition('.')[0]
        if package in (SCOPE, *TOOLBOXES):
            config['type'] = f'{package}.{config["type"].rpartition(".")[2]}'
    return {key: absolute(registry, value, scope) for key, value in config.items()}
