"""The table of trainings whose trajectories are recorded.

After a change of how a config says something, only this table has to be edited.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Case:
    """A training whose trajectory is recorded.

    Attributes:
        config: Config file, below ``configs/``.
        data: Which data it trains on, one of ``PERSONS``, ``ROOMS`` and ``COCO``.
        seed: Seed of the training.
        options: The keys of the config that make the method.
        validate: Whether it validates after every epoch.
        epochs: Number of epochs.
        iterations: Iterations of an epoch.
        stop: Epoch after which the training ends, and another process resumes it.
        processes: Number of processes that train together.
    """

    config: str
    data: str
    seed: int
    options: Mapping[str, Any] = field(default_factory=dict)
    validate: bool = False
    epochs: int = 4
    iterations: int = 5
    stop: int | None = None
    processes: int = 1


DEMO = 'gradsplit/r18gn_4task_demo_long.py'
SCENES = 'amtl/uniform_r18_deeplabv3plus_scenes.py'
PERSONS, ROOMS, COCO = 'pedestrians', 'scenes', 'coco'
ADAM = dict(type='Adam', lr=0.002)
MIXED = dict(type='mmgradsplit.AutocastOptimWrapper', dtype='bfloat16')
# In place of the demo's GradSplit.
PLAIN = dict(_delete_=True, type='OptimWrapper', optimizer=ADAM)


def _weighting(kind: str, **more: Any) -> dict[str, Any]:
    weighting = dict(type=kind, **more)
    return {'optim_wrapper.type': 'MultiTaskOptimWrapper', 'optim_wrapper.weighting': weighting}


def _aggregator(name: str, on: str) -> dict[str, Any]:
    return {
        'optim_wrapper.type': 'AggregatorOptimWrapper',
        'optim_wrapper.aggregator': dict(type=f'torchjd.{name}'),
        'optim_wrapper.on': on,
    }


CASES: dict[str, Case] = {
    # Round-robin, a data set for each task.
    'multi_head': Case('multihead/r18gn_4task_demo_long.py', PERSONS, 1),
    'gradsplit_step': Case(
        DEMO, PERSONS, 2, {'optim_wrapper.optimizers': 'separate', 'optim_wrapper.update': 'step'}
    ),
    'gradsplit_summed': Case(
        DEMO,
        PERSONS,
        3,
        {'optim_wrapper.optimizers': 'shared', 'optim_wrapper.update': 'iteration'},
    ),
    'gradsplit_shared': Case(DEMO, PERSONS, 4, {'optim_wrapper.optimizers': 'shared'}),
    'gradsplit_dropgrad': Case(DEMO, PERSONS, 5, {'optim_wrapper.drop_grad': 0.5}),
    # Joint, one data set.
    'full_task': Case('sta/ft_r18_scenes.py', ROOMS, 6),
    'sta': Case('sta/r18_scenes.py', ROOMS, 7),
    'ista': Case('sta/ista_r18_scenes.py', ROOMS, 8),
    'uw': Case(SCENES, ROOMS, 9, _weighting('torchjd.UW')),
    'dwa': Case(SCENES, ROOMS, 10, _weighting('torchjd.DWA')),
    'amtl': Case(
        SCENES,
        ROOMS,
        11,
        {
            **_weighting(
                'AMTLWeighting',
                form='geometric',
                references={'seg/mIoU': 9.6, 'depth/delta1': 44.6, 'normal/11.25': 10.4},
            ),
            'train_cfg.val_begin': 1,
            'train_cfg.val_interval': 1,
        },
        validate=True,
    ),
    'gradnorm': Case(
        SCENES,
        ROOMS,
        12,
        _weighting('GradNormWeighting'),
    ),
    'pcgrad_backbone': Case(SCENES, ROOMS, 13, _aggregator('PCGrad', 'backbone')),
    'pcgrad_features': Case(SCENES, ROOMS, 14, _aggregator('PCGrad', 'features')),
    'mgda_backbone': Case(SCENES, ROOMS, 15, _aggregator('MGDA', 'backbone')),
    'mask_rcnn_sta': Case('sta/mask_rcnn_coco_sample.py', COCO, 16),
    # Methods of the one in the other's loop, accumulation, clipping.
    'round_robin_adam': Case(DEMO, PERSONS, 17, {'optim_wrapper': PLAIN}),
    'round_robin_uw': Case(
        DEMO,
        PERSONS,
        18,
        {
            'optim_wrapper': dict(
                PLAIN, type='MultiTaskOptimWrapper', weighting=dict(type='torchjd.UW')
            )
        },
    ),
    'round_robin_pcgrad_accumulated': Case(
        DEMO,
        PERSONS,
        19,
        {
            'optim_wrapper': dict(
                PLAIN,
                type='AggregatorOptimWrapper',
                aggregator=dict(type='torchjd.PCGrad'),
                on='backbone',
                accumulative_counts=2,
            )
        },
    ),
    'gradsplit_accumulated_clipped': Case(
        DEMO,
        PERSONS,
        20,
        {
            'optim_wrapper.accumulative_counts': 2,
            'optim_wrapper.clip_grad': dict(max_norm=1.0),
        },
    ),
    'sta_gradsplit_summed': Case(
        # With group norm: a task step may have a single sample.
        'sta/r18_scenes.py',
        ROOMS,
        21,
        {
            'optim_wrapper': dict(
                _delete_=True,
                type='GradSplitOptimWrapper',
                optimizer=dict(type='Adam', lr=1e-3),
                relations=[[0, -1], [0, 0]],
                modules=['layer4'],
                optimizers='shared',
                update='iteration',
            ),
        },
    ),
    # Mixed precision.
    'gradsplit_mixed': Case(DEMO, PERSONS, 22, {'optim_wrapper.base': MIXED}),
    'uw_mixed': Case(SCENES, ROOMS, 23, {**_weighting('torchjd.UW'), 'optim_wrapper.base': MIXED}),
}
# The same as others, but resumed in another process, or in two processes together.
CASES |= {
    'gradsplit_step_resumed': replace(CASES['gradsplit_step'], stop=2),
    'amtl_resumed': replace(CASES['amtl'], stop=2),
    'gradsplit_step_two_processes': replace(
        CASES['gradsplit_step'], epochs=2, iterations=4, processes=2
    ),
    'uw_two_processes': replace(CASES['uw'], epochs=2, iterations=4, processes=2),
}
RESUMED = {name: name.removesuffix('_resumed') for name, case in CASES.items() if case.stop}
