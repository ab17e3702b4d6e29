"""``mmgradsplit train-seeds``: train several configs over several seeds."""

import argparse

from .options import add_cfg_options, add_many_trainings

DESCRIPTION = (
    'Train several configs over several seeds, and show mean and spread of their '
    'metrics. Start again to go on after a stop.'
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument('configs', nargs='+', help='config files')
    parser.add_argument('--out', required=True, help='folder of the results')
    add_many_trainings(parser, repeat=3)
    add_cfg_options(parser, 'all configs')


def run(args: argparse.Namespace) -> None:
    """Train."""
    from mmgradsplit.studies import train_seeds

    train_seeds(**vars(args))
