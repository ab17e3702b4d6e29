"""What several rooms need and none of them owns: files, pictures, generators, names, a model."""

from .config_errors import ConfigError, at_key
from .files import config_name, write_atomically, write_json
from .modules import unwrapped
from .nearest import did_you_mean
from .pictures import read_image
from .seeding import seed_all
from .tracing import kept_generators, without_trace

__all__ = [
    'ConfigError',
    'at_key',
    'config_name',
    'did_you_mean',
    'kept_generators',
    'read_image',
    'seed_all',
    'unwrapped',
    'without_trace',
    'write_atomically',
    'write_json',
]
