"""What several rooms need and none of them owns: files, pictures, generators, names, a model."""

from .extras import import_extra
from .files import config_name, write_atomically, write_json
from .modules import unwrapped
from .nearest import chosen_tasks, did_you_mean
from .pictures import read_image
from .pipelines import pipeline_of
from .seeding import seed_all
from .tracing import kept_generators, without_trace

__all__ = [
    'chosen_tasks',
    'config_name',
    'did_you_mean',
    'import_extra',
    'kept_generators',
    'pipeline_of',
    'read_image',
    'seed_all',
    'unwrapped',
    'without_trace',
    'write_atomically',
    'write_json',
]
