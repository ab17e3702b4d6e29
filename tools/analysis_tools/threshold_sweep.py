"""Relation masks at several thresholds, without training: argument parsing, then one call."""

import argparse

from mmgradsplit.studies import sweep_thresholds
from mmgradsplit.studies.threshold_sweep import THRESHOLDS


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description='Show the relation masks of a relations file at several thresholds.'
    )
    parser.add_argument('relations', help='JSON file of relations')
    parser.add_argument(
        '--thresholds',
        nargs='+',
        type=float,
        default=THRESHOLDS,
        metavar='T',
        help='thresholds, "inf" and "-inf" among them (default: those of Table A-2)',
    )
    parser.add_argument(
        '--tasks', nargs='+', help='tasks in the order of the table (default: all of the file)'
    )
    parser.add_argument('--out', metavar='PNG', help='file for a picture of the masks')
    return parser.parse_args()


def main() -> None:
    """Show the masks."""
    args = parse_args()
    sweep_thresholds(args.relations, args.thresholds, tasks=args.tasks, out=args.out)


if __name__ == '__main__':
    main()
