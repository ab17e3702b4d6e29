"""``mmgradsplit conflict-frequency``: how often task gradients conflict, layer by layer."""

import argparse

from .options import add_cfg_options, add_config, add_device, add_trust

DESCRIPTION = 'Measure how often the gradients of two tasks conflict, layer by layer.'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_config(parser)
    add_trust(parser)
    parser.add_argument(
        'checkpoints', nargs='+', help='checkpoints of networks of this config, one a row'
    )
    parser.add_argument('--labels', nargs='+', help='names of the rows')
    parser.add_argument(
        '--modules',
        nargs='+',
        help="modules of the backbone, such as layer4.0 or 'layer?.0' (default: the first block of "
        'every stage)',
    )
    parser.add_argument('--repeats', type=int, default=20, help='batches of each task')
    parser.add_argument('--samples', type=int, default=16, help='samples of a batch')
    parser.add_argument(
        '--masked',
        action='store_true',
        help="also the gradients that the config's relation mask leaves",
    )
    parser.add_argument('--seed', type=int, help="seed of the batches (default: the config's)")
    parser.add_argument('--out', default='conflicts', help='folder for numbers and picture')
    add_device(parser)
    add_cfg_options(parser)


def run(args: argparse.Namespace) -> None:
    """Measure."""
    from mmgradsplit.analysis import conflict_maps

    conflict_maps(**vars(args))
