"""``mmgradsplit complexity``: #Param and #FLOPs of configs' models."""

import argparse

from .options import add_cfg_options

DESCRIPTION = 'Count the parameters and the multiply-accumulates (FLOPs) of models.'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument('configs', nargs='+', help='config files; several add up')
    parser.add_argument(
        '--shape',
        nargs=2,
        type=int,
        metavar=('H', 'W'),
        help="size of all tasks' images (default: that of each task's validation)",
    )
    parser.add_argument(
        '--depth', type=int, default=0, help='levels of modules below the backbone and each task'
    )
    parser.add_argument(
        '--out', nargs='+', default=[], metavar='FILE', help='also write the table, as .md or .csv'
    )
    add_cfg_options(parser, 'the configs, for instance tasks="[pose]"')


def run(args: argparse.Namespace) -> None:
    """Count."""
    from mmgradsplit.analysis import report_complexity

    report_complexity(
        args.configs,
        size=args.shape and tuple(args.shape),
        depth=args.depth,
        out=args.out,
        cfg_options=args.cfg_options,
    )
