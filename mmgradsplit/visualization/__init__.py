"""Pictures: of predictions, relations, conflicts and angles of gradients, and curves."""

from mmgradsplit.utils import read_image

from .angles import draw_angles
from .comparison import draw_comparison
from .conflicts import draw_conflicts
from .contact_sheet import draw_contact_sheet
from .curves import Plot, draw_curves
from .data_samples import make_sample, register_sample_maker
from .masks import draw_masks
from .one_pass import (
    evaluation_mode,
    input_divisor,
    place,
    predict_batch,
    predict_image,
    predicting,
    rounded_up,
)
from .panel import Neighbour, draw_panel, save_figure
from .panel_maker import PanelMaker
from .relations import draw_relations

__all__ = [
    'Neighbour',
    'PanelMaker',
    'Plot',
    'draw_angles',
    'draw_comparison',
    'draw_conflicts',
    'draw_contact_sheet',
    'draw_curves',
    'draw_masks',
    'draw_panel',
    'draw_relations',
    'evaluation_mode',
    'input_divisor',
    'make_sample',
    'place',
    'predict_batch',
    'predict_image',
    'predicting',
    'read_image',
    'register_sample_maker',
    'rounded_up',
    'save_figure',
]
