"""The mathematics of multi-task training: no toolbox, nothing to be trained."""

from .acc_mtl import acc_mtl
from .achievement import amtl_weights, dtp_weights
from .agreement import Agreement, relation_agreement
from .allocation import allocations
from .delta_m import by_task, delta_m, delta_raw
from .filter_groups import Span, filter_groups, spans
from .gradients import conflict_frequency, cosine_matrix, loss_change
from .layers import weighted_layers
from .placement import Placement, letterbox, stretch, top_down
from .relations import (
    THRESHOLD,
    RepeatedChanges,
    by_name,
    relation_mask,
    relative_change,
    summarize_changes,
)
from .seeds import derive_seed
from .uniform import uniform_loss

__all__ = [
    'THRESHOLD',
    'Agreement',
    'Placement',
    'RepeatedChanges',
    'Span',
    'acc_mtl',
    'allocations',
    'amtl_weights',
    'by_name',
    'by_task',
    'conflict_frequency',
    'cosine_matrix',
    'delta_m',
    'delta_raw',
    'derive_seed',
    'dtp_weights',
    'filter_groups',
    'letterbox',
    'loss_change',
    'relation_agreement',
    'relation_mask',
    'relative_change',
    'spans',
    'stretch',
    'summarize_changes',
    'top_down',
    'uniform_loss',
    'weighted_layers',
]
