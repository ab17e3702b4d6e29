"""``mmgradsplit report``: finished runs as one table, with their curves."""

import argparse

DESCRIPTION = (
    'Show finished runs as one table: metrics, delta_m, cost, time an iteration. '
    'Runs that differ in their seed alone are one row, with mean and spread.'
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        'work_dirs', nargs='+', help='work dirs, or folders of work dirs (NAME/seed_0, ...)'
    )
    parser.add_argument('--out', metavar='DIR', help='folder for report.md, report.csv, curves.png')
    parser.add_argument(
        '--references',
        nargs='+',
        default=[],
        metavar='RUN',
        help="what delta_m is relative to, instead of the configs' references: work dirs of "
        'single-task runs, or TASK/METRIC=VALUE',
    )


def run(args: argparse.Namespace) -> None:
    """Report."""
    from mmgradsplit.studies import report

    report(**vars(args))
