"""Measure a checkpoint on the test sets of a config: argument parsing, then one call."""

import argparse
import os

from mmengine.config import DictAction

from mmgradsplit.apis import evaluate, stop_processes


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description='Measure a checkpoint on the test sets.')
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--work-dir', help='folder for logs (default: work_dirs/<config name>)')
    parser.add_argument('--out', metavar='JSON', help='file to write the metrics to')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='override keys of the config',
    )
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='how the processes of distributed testing are started; see tools/dist_test.sh',
    )
    # Given by older versions of PyTorch's launcher.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)
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
