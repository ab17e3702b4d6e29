"""Measure a checkpoint on the test sets of a config: argument parsing, then one call."""

import argparse
import os

from mmgradsplit.apis import evaluate, stop_processes
from mmgradsplit.apis.command_line import add_cfg_options, add_launcher


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description='Measure a checkpoint on the test sets.')
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--work-dir', help='folder for logs (default: work_dirs/<config name>)')
    parser.add_argument('--out', metavar='JSON', help='file to write the metrics to')
    add_cfg_options(parser)
    add_launcher(parser, 'testing', 'tools/dist_test.sh')
    return parser.parse_args()


def main() -> None:
    """Test."""
    args = parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    evaluate(
        args.config,
        args.checkpoint,
        work_dir=args.work_dir,
        out=args.out,
        cfg_options=args.cfg_options,
        launcher=args.launcher,
    )
    stop_processes()


if __name__ == '__main__':
    main()
