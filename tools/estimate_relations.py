"""Measure the relations between the tasks of a config: argument parsing, then one call."""

import argparse

from mmgradsplit.apis.command_line import add_cfg_options, add_many_trainings
from mmgradsplit.studies import estimate_relations


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description='Train the single-task and two-task networks of a multi-task config, and write '
        'how each task changes the accuracy of each other. Start again to go on after a stop.'
    )
    parser.add_argument('config', help='config file of a multi-task network')
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
    return parser.parse_args()


def main() -> None:
    """Measure."""
    estimate_relations(**vars(parse_args()))


if __name__ == '__main__':
    main()
