"""``mmgradsplit gradient-angles``: angles between gradients under several allocators."""

import argparse

from .options import add_cfg_options, add_config, add_device, add_trust

DESCRIPTION = (
    'Measure the angles between task gradients, and between successive steps, with '
    'full task training, STA and ISTA.'
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_config(parser, ' of joint training')
    add_trust(parser)
    parser.add_argument(
        'checkpoint', nargs='?', help='weights (default: the network as training starts with it)'
    )
    parser.add_argument(
        '--allocators',
        nargs='+',
        default=['FullTask', 'STA', 'ISTA'],
        metavar='NAME[:SIZE]',
        help='such as STA, or STA:2 for two tasks a sample (default: FullTask STA ISTA)',
    )
    parser.add_argument(
        '--modules',
        nargs='+',
        help="modules of the backbone, such as layer4 or 'layer?.0' (default: the whole backbone)",
    )
    parser.add_argument('--batches', type=int, default=100, help='number of batches')
    parser.add_argument('--samples', type=int, help="samples of a batch (default: the config's)")
    parser.add_argument(
        '--seed', type=int, help="seed of batches and allocations (default: the config's)"
    )
    parser.add_argument('--out', default='angles', help='folder for numbers and picture')
    add_device(parser)
    add_cfg_options(parser)


def run(args: argparse.Namespace) -> None:
    """Measure."""
    from mmgradsplit.analysis import gradient_angles

    gradient_angles(**vars(args))
