"""Train several configs over several seeds: argument parsing, then one call."""

import argparse

from mmengine.config import DictAction

from mmgradsplit.apis import train_seeds


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description='Train several configs over several seeds, and show mean and spread of their '
        'metrics. Start again to go on after a stop.'
    )
    parser.add_argument('configs', nargs='+', help='config files')
    parser.add_argument('--out', required=True, help='folder of the results')
    parser.add_argument('--repeat', type=int, default=3, metavar='N', help='number of seeds')
    parser.add_argument(
        '--gpus', nargs='+', default=[], metavar='GPU', help='spread the trainings over these GPUs'
    )
    parser.add_argument(
        '--processes', type=int, metavar='N', help='trainings at once (default: one a GPU)'
    )
    parser.add_argument(
        '--amp', action='store_true', help='mixed precision (float16 on a GPU, bfloat16 on a CPU)'
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='override keys of all configs',
    )
    return parser.parse_args()


def main() -> None:
    """Train."""
    args = parse_args()
    train_seeds(
        args.configs,
        args.out,
        repeat=args.repeat,
        gpus=args.gpus,
        processes=args.processes,
        amp=args.amp,
        cfg_options=args.cfg_options,
    )


if __name__ == '__main__':
    main()
