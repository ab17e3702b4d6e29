"""Finished runs as one table, with their curves: argument parsing, then one call."""

import argparse

from mmgradsplit.studies import report


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description='Show finished runs as one table: metrics, delta_m, cost, time an iteration. '
        'Runs that differ in their seed alone are one row, with mean and spread.'
    )
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
    return parser.parse_args()


def main() -> None:
    """Report."""
    report(**vars(parse_args()))


if __name__ == '__main__':
    main()
