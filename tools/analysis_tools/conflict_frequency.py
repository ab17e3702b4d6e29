"""How often task gradients conflict, layer by layer: argument parsing, then one call."""

import argparse

from mmgradsplit.analysis import conflict_maps
from mmgradsplit.apis.command_line import add_cfg_options, add_device


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description='Measure how often the gradients of two tasks conflict, layer by layer.'
    )
    parser.add_argument('config', help='config file')
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
    return parser.parse_args()


def main() -> None:
    """Measure."""
    conflict_maps(**vars(parse_args()))


if __name__ == '__main__':
    main()
