"""What several rooms need and none of them owns: files, pictures, generators, names, a model."""

from .files import config_name, write_atomically, write_json
from .modules import unwrapped
from .nearest import did_you_mean
from .pictures import read_image
from .recomputation import also_recomputed, hides_parameters, non_reentrant
from .seeding import seed_all
from .tracing import kept_generators, without_trace

__all__ = [
    'also_recomputed',
    'config_name',
    'did_you_mean',
    'hides_parameters',
    'kept_generators',
    'non_reentrant',
    'read_image',
    'seed_all',
    'unwrapped',
    'without_trace',
    'write_atomically',
    'write_json',
]
