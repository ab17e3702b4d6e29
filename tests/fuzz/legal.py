"""Why a mutated config that trains without an error is a legal one."""

import re

from .mutations import Mutation

UNEXPLAINED = 'NOT LEGAL'
# Kind of mistake, key, value (regular expressions), and the reason.
REASONS = (
    ('removed', r'\.batch_size$', '', "PyTorch's default is 1"),
    ('removed', r'data_preprocessor\.type$', '', "the toolbox's own preprocessor is the default"),
    ('range', r'dropout_ratio$', '-', 'mmseg: no dropout at or below 0'),
    ('range', r'reid\.head\.num_classes$', '7', 'outputs that no identity has are allowed'),
    ('type', r'data_preprocessor(\.mean)?$', 'None', 'None stands for no normalisation'),
    ('type', r'model\.tasks\.parsing\.train_cfg$', '', 'mmseg keeps it, and reads nothing of it'),
    ('type', r'pool_scales$', r'\[\]', 'a pyramid may have no level'),
    ('type', r'\.test_cfg\.', '', 'a toolbox asks a plain dict for the truth of any value'),
    ('type', r'^(default_hooks|visualizer|log_processor|custom_hooks|param_scheduler)$',
     'None', "None stands for mmengine's default"),
    ('type', r'^default_hooks\.\w+$', 'None', 'None switches a default hook off'),
    ('type', r'(clip_grad|paramwise_cfg|references|save_best|norm_cfg|init_cfg)$', 'None',
     'None stands for none'),
    ('type', r'^(randomness\.seed|load_from|train_dataloader\..*\.seed)$', 'None',
     'None stands for none'),
)  # fmt: skip


def reason_of(mutation: Mutation) -> str:
    """The reason, or :data:`UNEXPLAINED`."""
    for kind, key, value, reason in REASONS:
        found = re.search(key, mutation.key) and re.search(value, str(mutation.value))
        if mutation.kind == kind and found:
            return reason
    return UNEXPLAINED
