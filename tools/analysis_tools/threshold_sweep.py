"""Relation masks at several thresholds, without training: argument parsing, then one call."""

import argparse

from mmgradsplit.studies import sweep_thresholds


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
        default=[-0.025, -0.015, -0.01, -0.009, 0.0, float('inf')],
        metavar='T',
        help='thresholds, "inf" and "-inf" among them (default: %(default)s, those of Table A-2)',
    )
    parser.add_argument(
        '--tasks', nargs='+', help='tasks in the order of the table (default: all of the file)'
    )
    parser.add_argument('--out', metavar='PNG', help='file for a picture of the masks')
    return parser.parse_args()


def main() -> None:
    """Show the masks."""
    sweep_thresholds(**vars(parse_args()))


if __name__ == '__main__':
    main()
