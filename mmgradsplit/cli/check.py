"""``mmgradsplit check``: read every file of a config's data sets, and say what is wrong."""

import argparse

from .options import add_cfg_options, add_config

DESCRIPTION = (
    'Read every file of every data set of a config as training and validation will, and report '
    'what is unreadable, does not fit, or cannot be meant so. The exit code is 0 where nothing was '
    'found, and 1 where something was.'
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_config(parser)
    parser.add_argument(
        '--out', help='folder of the report and the contact sheets (default: check in the work_dir)'
    )
    parser.add_argument(
        '--workers', type=int, metavar='N', help='processes that read (default: one a core)'
    )
    parser.add_argument(
        '--pictures',
        type=int,
        default=8,
        metavar='N',
        help='samples of each contact sheet, 0 for none (default: %(default)s)',
    )
    add_cfg_options(parser)


def run(args: argparse.Namespace) -> None:
    """Check.

    Raises:
        SystemExit: With 1, if something was found.
    """
    from mmgradsplit.analysis import check_data

    found = check_data(
        args.config,
        out=args.out,
        cfg_options=args.cfg_options,
        workers=args.workers,
        pictures=args.pictures,
    )
    if found:
        raise SystemExit(1)
