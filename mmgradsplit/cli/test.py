"""``mmgradsplit test``: measure a checkpoint on the test sets of a config."""

import argparse
import os

from .options import add_cfg_options, add_config, add_launcher, add_trust

DESCRIPTION = 'Measure a checkpoint on the test sets of a config.'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_config(parser)
    parser.add_argument('checkpoint', help='checkpoint file')
    add_trust(parser)
    parser.add_argument('--work-dir', help='folder for logs (default: work_dirs/<config name>)')
    parser.add_argument('--out', metavar='JSON', help='file to write the metrics to')
    add_cfg_options(parser)
    add_launcher(parser, 'testing', 'tools/dist_test.sh')


def run(args: argparse.Namespace) -> None:
    """Test."""
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))

    from mmgradsplit.apis import evaluate, stop_processes

    evaluate(
        args.config,
        args.checkpoint,
        work_dir=args.work_dir,
        out=args.out,
        cfg_options=args.cfg_options,
        launcher=args.launcher,
    )
    stop_processes()
