"""``mmgradsplit threshold-sweep``: relation masks at several thresholds, without training."""

import argparse

DESCRIPTION = 'Show the relation masks of a relations file at several thresholds.'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
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


def run(args: argparse.Namespace) -> None:
    """Show the masks."""
    from mmgradsplit.studies import sweep_thresholds

    sweep_thresholds(**vars(args))
