"""The registries of mmgradsplit: children of mmengine's, scope ``mmgradsplit``.

Building a config by type name imports the room named here.
"""

from mmengine import registry as mmengine_registry
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.registry import Registry

# So that mmengine resolves _base_ = 'mmgradsplit::gradsplit/r50gn_4task.py' in anyone's config.
MODULE2PACKAGE.setdefault('mmgradsplit', 'mmgradsplit')


def _child(parent: Registry, *rooms: str) -> Registry:
    # mmengine wants a location, also where nothing of ours has to be imported.
    locations = [f'mmgradsplit.{room}' for room in rooms or ('registry',)]
    return Registry(parent.name, parent=parent, scope='mmgradsplit', locations=locations)


__all__ = [
    'AGGREGATORS',
    'ALLOCATORS',
    'DATASETS',
    'DATA_SAMPLERS',
    'EVALUATOR',
    'FUNCTIONS',
    'HOOKS',
    'LOG_PROCESSORS',
    'LOOPS',
    'METRICS',
    'MODELS',
    'MODEL_WRAPPERS',
    'OPTIMIZERS',
    'OPTIM_WRAPPERS',
    'OPTIM_WRAPPER_CONSTRUCTORS',
    'PARAM_SCHEDULERS',
    'REPORT_COLUMNS',
    'RUNNERS',
    'TRANSFORMS',
    'VISBACKENDS',
    'VISUALIZERS',
    'WEIGHTINGS',
    'WEIGHT_INITIALIZERS',
]

#: Networks, backbones, heads and losses.
MODELS = _child(mmengine_registry.MODELS, 'models')
#: What wraps a network on several GPUs.
MODEL_WRAPPERS = _child(mmengine_registry.MODEL_WRAPPERS, 'models')
#: How weights begin.
WEIGHT_INITIALIZERS = _child(mmengine_registry.WEIGHT_INITIALIZERS)
#: Optimizer wrappers, in which methods live.
OPTIM_WRAPPERS = _child(mmengine_registry.OPTIM_WRAPPERS, 'optim')
#: What builds optimizer wrappers.
OPTIM_WRAPPER_CONSTRUCTORS = _child(mmengine_registry.OPTIM_WRAPPER_CONSTRUCTORS, 'optim')
#: Loops of training and evaluation.
LOOPS = _child(mmengine_registry.LOOPS, 'engine')
#: Hooks.
HOOKS = _child(
    mmengine_registry.HOOKS, 'engine', 'analysis', 'visualization.panel_hook', 'apis.start_weights'
)
#: Data sets.
DATASETS = _child(mmengine_registry.DATASETS, 'datasets')
#: Samplers of data sets.
DATA_SAMPLERS = _child(mmengine_registry.DATA_SAMPLERS, 'datasets')
#: Steps of a data pipeline.
TRANSFORMS = _child(mmengine_registry.TRANSFORMS, 'datasets')
#: From which tasks a sample is annotated for to the tasks that supervise it.
ALLOCATORS = Registry('allocator', scope='mmgradsplit', locations=['mmgradsplit.engine'])
#: How task losses become one loss.
WEIGHTINGS = Registry('weighting', scope='mmgradsplit', locations=['mmgradsplit.optim'])
#: How task gradients become one gradient.
AGGREGATORS = Registry('aggregator', scope='mmgradsplit', locations=['mmgradsplit.optim'])
#: Functions from the runs of a row to further columns of a report.
REPORT_COLUMNS = Registry('report column', scope='mmgradsplit', locations=['mmgradsplit.studies'])
#: Metrics.
METRICS = _child(mmengine_registry.METRICS, 'evaluation')
#: What sums metrics up.
EVALUATOR = _child(mmengine_registry.EVALUATOR, 'evaluation')

# Nothing of ours is in these, but building in our scope looks here before it goes to mmengine.
#: Optimizers.
OPTIMIZERS = _child(mmengine_registry.OPTIMIZERS)
#: Schedules of learning rates.
PARAM_SCHEDULERS = _child(mmengine_registry.PARAM_SCHEDULERS)
#: Runners.
RUNNERS = _child(mmengine_registry.RUNNERS)
#: Functions such as collate functions.
FUNCTIONS = _child(mmengine_registry.FUNCTIONS)
#: Visualizers.
VISUALIZERS = _child(mmengine_registry.VISUALIZERS)
#: Where logs and pictures go.
VISBACKENDS = _child(mmengine_registry.VISBACKENDS)
#: How logs are written.
LOG_PROCESSORS = _child(mmengine_registry.LOG_PROCESSORS)
