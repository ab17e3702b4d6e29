"""What several rooms need and none of them owns: files, pictures, generators, names, a model."""

from .checkpoint_files import CheckpointError, read_checkpoint, trust_checkpoints
from .files import config_name, write_atomically, write_json
from .fitting import load_fitting
from .modules import unwrapped
from .nearest import did_you_mean
from .pictures import read_image
from .seeding import seed_all
from .tracing import kept_generators, without_trace

__all__ = [
    'CheckpointError',
    'config_name',
    'did_you_mean',
    'kept_generators',
    'load_fitting',
    'read_checkpoint',
    'read_image',
    'seed_all',
    'trust_checkpoints',
    'unwrapped',
    'without_trace',
    'write_atomically',
    'write_json',
]
