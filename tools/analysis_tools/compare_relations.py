"""Where two relations files agree: argument parsing, then one call."""

import argparse

from mmgradsplit.studies import compare_relations


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description='Compare two relations files: their masks, and the ranks of their values.'
    )
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
    return parser.parse_args()


def main() -> None:
    """Compare."""
    compare_relations(**vars(parse_args()))


if __name__ == '__main__':
    main()
