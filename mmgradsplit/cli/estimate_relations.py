"""``mmgradsplit estimate-relations``: measure the relations between the tasks of a config."""

import argparse

from .options import add_cfg_options, add_config, add_many_trainings

DESCRIPTION = (
    'Train the single-task and two-task networks of a multi-task config, and write '
    'how each task changes the accuracy of each other. Start again to go on after a stop.'
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_config(parser, ' of a multi-task network')
    parser.add_argument(
        '--out', help='folder of the results (default: work_dirs/<config name>_relations)'
    )
    parser.add_argument(
        '--metrics',
        nargs='+',
        metavar='TASK/METRIC',
        help='the accuracy of each task (default: those of val_cfg.references)',
    )
    parser.add_argument(
        '--threshold', type=float, help="of the relation mask (default: the config's, else -0.01)"
    )
    add_many_trainings(parser, repeat=1)
    add_cfg_options(parser)


def run(args: argparse.Namespace) -> None:
    """Measure."""
    from mmgradsplit.studies import estimate_relations

    estimate_relations(**vars(args))
