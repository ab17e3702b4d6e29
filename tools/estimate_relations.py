"""Measure the relations between the tasks of a config: argument parsing, then one call."""

import argparse

from mmengine.config import DictAction

from mmgradsplit.apis import estimate_relations


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description='Train the single-task and two-task networks of a multi-task config, and write '
        'how each task changes the accuracy of each other. Start again to go on after a stop.'
    )
    parser.add_argument('config', help='config file of a multi-task network')
    parser.add_argument(
        '--out', help='folder of the results (default: work_dirs/<config name>_relations)'
    )
    parser.add_argument('--repeat', type=int, default=1, metavar='N', help='number of seeds')
    parser.add_argument(
        '--metrics',
        nargs='+',
        metavar='TASK/METRIC',
        help='the accuracy of each task (default: those of val_cfg.references)',
    )
    parser.add_argument(
        '--threshold', type=float, help="of the relation mask (default: the config's)"
    )
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
        help='override keys of the config',
    )
    return parser.parse_args()


def main() -> None:
    """Measure."""
    args = parse_args()
    estimate_relations(
        args.config,
        args.out,
        repeat=args.repeat,
        metrics=args.metrics,
        threshold=args.threshold,
        gpus=args.gpus,
        processes=args.processes,
        amp=args.amp,
        cfg_options=args.cfg_options,
    )


if __name__ == '__main__':
    main()
