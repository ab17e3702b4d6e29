"""#Param and #FLOPs of configs' models: argument parsing, then one call into mmgradsplit."""

import argparse

from mmgradsplit.analysis import report_complexity
from mmgradsplit.apis.command_line import add_cfg_options


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description='Count the parameters and the multiply-accumulates (FLOPs) of models.'
    )
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
    return parser.parse_args()


def main() -> None:
    """Count."""
    args = parse_args()
    report_complexity(
        args.configs,
        size=args.shape and tuple(args.shape),
        depth=args.depth,
        out=args.out,
        cfg_options=args.cfg_options,
    )


if __name__ == '__main__':
    main()
