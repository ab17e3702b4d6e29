"""Of which metrics a lower value is better: whatever compares values of a metric asks here.

A metric class of mmgradsplit's, or of a user's, states it by an attribute ``lower_is_better``: a
dict from a metric's name, or a pattern of names, to True or False. The toolboxes' classes do not;
they are in the table below, by the toolbox and the name of the class.
"""

import fnmatch
import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.evaluator import Evaluator

from mmgradsplit.registry import METRICS

HIGHER, LOWER = {'*': False}, {'*': True}
TOOLBOXES: dict[str, Mapping[str, bool]] = {
    **dict.fromkeys(
        (
            'mmdet.CityScapesMetric', 'mmdet.CocoMetric', 'mmdet.CocoPanopticMetric',
            'mmdet.DODCocoMetric', 'mmdet.Flickr30kMetric', 'mmdet.LVISFixedAPMetric',
            'mmdet.OpenImagesMetric', 'mmdet.ReIDMetrics', 'mmdet.RefExpMetric',
            'mmdet.RefSegMetric', 'mmdet.SemSegMetric', 'mmdet.VOCMetric',
            'mmdet.YouTubeVISMetric', 'mmdet.gRefCOCOMetric',
            'mmpose.AUC', 'mmpose.CocoMetric', 'mmpose.PCKAccuracy',
            'mmpretrain.ANLS', 'mmpretrain.Accuracy', 'mmpretrain.AveragePrecision',
            'mmpretrain.COCOCaption', 'mmpretrain.GQAAcc', 'mmpretrain.MultiLabelMetric',
            'mmpretrain.RetrievalAveragePrecision', 'mmpretrain.RetrievalRecall',
            'mmpretrain.ScienceQAMetric', 'mmpretrain.SingleLabelMetric',
            'mmpretrain.VQAAcc', 'mmpretrain.VisualGroundingMetric',
            'mmseg.CityscapesMetric', 'mmseg.IoUMetric',
        ),
        HIGHER,
    ),
    **dict.fromkeys(
        (
            'mmpose.EPE', 'mmpose.MPJPE', 'mmpose.NME', 'mmpose.SimpleMPJPE',
            'mmpretrain.RegressionMetric',
        ),
        LOWER,
    ),
    'mmdet.CrowdHumanMetric': {'mMR': True, '*': False},
    'mmpose.InterHandMetric': {'HandednessAcc': False, '*': True},
    'mmseg.DepthMetric': {'d[123]': False, '*': True},
}  # fmt: skip
# Of all tasks together, by MultiTaskEvaluator.
SUMS = {'acc_mtl': False, 'delta_m': False}


def lower_is_better(name: str, evaluators: Any) -> bool | None:
    """Whether a lower value of a metric is better.

    Args:
        name: Its full name, as ``task/metric``; or, where there are no tasks, as it is logged.
        evaluators: What ``val_evaluator`` is in a config, by task where there are tasks; or the
            same of objects that were built.

    Returns:
        True or False; None where no class says so.
    """
    if name in SUMS:
        return SUMS[name]
    task, _, _ = name.partition('/')
    of_task = evaluators.get(task) if isinstance(evaluators, Mapping) else None
    for metric in _metrics(evaluators if of_task is None else of_task):
        for pattern, lower in _stated(metric).items():
            # A metric may put a prefix in front, such as coco/bbox_mAP.
            if fnmatch.fnmatchcase(name.rpartition('/')[2], pattern):
                return lower
    return None


def _metrics(evaluator: Any) -> Iterator[Any]:
    """The metrics of an evaluator: configs or objects."""
    if isinstance(evaluator, list | tuple):
        for each in evaluator:
            yield from _metrics(each)
    elif isinstance(evaluator, Mapping) and 'metrics' in evaluator:
        yield from _metrics(evaluator['metrics'])
    elif isinstance(evaluator, Evaluator):
        yield from _metrics(evaluator.metrics)
    elif evaluator is not None:
        yield evaluator


def _stated(metric: Any) -> Mapping[str, bool]:
    """What the class of a metric, or a class it is derived from, states."""
    kind = metric.get('type') if isinstance(metric, Mapping) else type(metric)
    if isinstance(kind, str):
        scope = metric.get('_scope_')
        name = f'{scope}.{kind}' if scope and '.' not in kind else kind
        if name in TOOLBOXES:  # importing a toolbox's metrics can take a second
            return TOOLBOXES[name]
        kind = METRICS.get(name)
    for base in kind.__mro__ if inspect.isclass(kind) else ():
        own = vars(base).get('lower_is_better')
        if own is None:
            own = TOOLBOXES.get(f'{base.__module__.partition(".")[0]}.{base.__name__}')
        if own is not None:
            return own
    return {}
