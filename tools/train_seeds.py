"""Train several configs over several seeds: argument parsing, then one call."""

import argparse

from mmgradsplit.apis.command_line import add_cfg_options, add_many_trainings
from mmgradsplit.studies import train_seeds


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description='Train several configs over several seeds, and show mean and spread of their '
        'metrics. Start again to go on after a stop.'
    )
    parser.add_argument('configs', nargs='+', help='config files')
    parser.add_argument('--out', required=True, help='folder of the results')
    add_many_trainings(parser, repeat=3)
    add_cfg_options(parser, 'all configs')
    return parser.parse_args()


def main() -> None:
    """Train."""
    train_seeds(**vars(parse_args()))


if __name__ == '__main__':
    main()
