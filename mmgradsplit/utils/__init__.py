"""What several rooms need and none of them owns: files, pictures, generators, names, a model."""

from .checkpoint_files import CheckpointError, read_checkpoint, trust_checkpoints
from .config_errors import ConfigError, at_key
from .data_files import SampleError, check_file
from .extras import import_extra
from .files import CONFIG_JSON, config_name, write_atomically, write_json
from .fitting import load_fitting
from .modules import fingerprint, unwrapped
from .nearest import chosen_tasks, did_you_mean
from .pictures import read_image
from .pipelines import pipeline_of
from .recomputation import also_recomputed, hides_parameters, non_reentrant
from .seeding import seed_all
from .tracing import kept_generators, without_trace

__all__ = [
    'CONFIG_JSON',
    'CheckpointError',
    'ConfigError',
    'SampleError',
    'also_recomputed',
    'at_key',
    'check_file',
    'chosen_tasks',
    'config_name',
    'did_you_mean',
    'fingerprint',
    'hides_parameters',
    'import_extra',
    'kept_generators',
    'load_fitting',
    'non_reentrant',
    'pipeline_of',
    'read_checkpoint',
    'read_image',
    'seed_all',
    'trust_checkpoints',
    'unwrapped',
    'without_trace',
    'write_atomically',
    'write_json',
]
