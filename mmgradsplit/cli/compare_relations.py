"""``mmgradsplit compare-relations``: where two relations files agree."""

import argparse

DESCRIPTION = 'Compare two relations files: their masks, and the ranks of their values.'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument('first', help='JSON file of relations, such as the measured ones')
    parser.add_argument('second', help='JSON file of relations, such as estimated ones')
    parser.add_argument(
        '--threshold',
        dest='thresholds',
        nargs='+',
        type=float,
        metavar='T',
        help="threshold of both, or one of each file (default: the file's own, or -0.01)",
    )


def run(args: argparse.Namespace) -> None:
    """Compare."""
    from mmgradsplit.studies import compare_relations

    compare_relations(**vars(args))
