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


MODELS = _child(mmengine_registry.MODELS, 'models')
MODEL_WRAPPERS = _child(mmengine_registry.MODEL_WRAPPERS, 'models')
WEIGHT_INITIALIZERS = _child(mmengine_registry.WEIGHT_INITIALIZERS)
OPTIM_WRAPPERS = _child(mmengine_registry.OPTIM_WRAPPERS, 'optim')
OPTIM_WRAPPER_CONSTRUCTORS = _child(mmengine_registry.OPTIM_WRAPPER_CONSTRUCTORS, 'optim')
LOOPS = _child(mmengine_registry.LOOPS, 'engine')
HOOKS = _child(
    mmengine_registry.HOOKS, 'engine', 'analysis', 'visualization.panel_hook', 'apis.start_weights'
)
DATASETS = _child(mmengine_registry.DATASETS, 'datasets')
DATA_SAMPLERS = _child(mmengine_registry.DATA_SAMPLERS, 'datasets')
TRANSFORMS = _child(mmengine_registry.TRANSFORMS, 'datasets')
# From which tasks a sample is annotated for to the tasks that supervise it.
ALLOCATORS = Registry('allocator', scope='mmgradsplit', locations=['mmgradsplit.engine'])
# How task losses become one loss, and task gradients one gradient.
WEIGHTINGS = Registry('weighting', scope='mmgradsplit', locations=['mmgradsplit.optim'])
AGGREGATORS = Registry('aggregator', scope='mmgradsplit', locations=['mmgradsplit.optim'])
# Functions from the runs of a row to further columns of a report.
REPORT_COLUMNS = Registry('report column', scope='mmgradsplit', locations=['mmgradsplit.studies'])
METRICS = _child(mmengine_registry.METRICS, 'evaluation')
EVALUATOR = _child(mmengine_registry.EVALUATOR, 'evaluation')

# Nothing of ours is in these, but building in our scope looks here before it goes to mmengine.
OPTIMIZERS = _child(mmengine_registry.OPTIMIZERS)
PARAM_SCHEDULERS = _child(mmengine_registry.PARAM_SCHEDULERS)
RUNNERS = _child(mmengine_registry.RUNNERS)
FUNCTIONS = _child(mmengine_registry.FUNCTIONS)
VISUALIZERS = _child(mmengine_registry.VISUALIZERS)
VISBACKENDS = _child(mmengine_registry.VISBACKENDS)
LOG_PROCESSORS = _child(mmengine_registry.LOG_PROCESSORS)
