"""#Param and #FLOPs of configs' models: argument parsing, then one call into mmgradsplit."""

import argparse

from mmgradsplit.analysis import report_complexity, report_published
from mmgradsplit.apis.command_line import add_cfg_options

PUBLISHED = 'configs/gradsplit_tables/complexity.json'


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description='Count the parameters and the multiply-accumulates (FLOPs) of models.'
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument('configs', nargs='*', default=[], help='config files; several add up')
    what.add_argument(
        '--table',
        nargs='?',
        const=PUBLISHED,
        metavar='JSON',
        help=f'show the rows of a file of published figures instead (default: {PUBLISHED}; AMTL: '
        'configs/amtl_tables/complexity.json)',
    )
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
    if args.table:
        report_published(args.table, out=args.out)
        return
    report_complexity(
        args.configs,
        size=args.shape and tuple(args.shape),
        depth=args.depth,
        out=args.out,
        cfg_options=args.cfg_options,
    )


if __name__ == '__main__':
    main()
