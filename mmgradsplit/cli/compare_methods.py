"""``mmgradsplit compare-methods``: compare multi-task optimisation methods on a config."""

import argparse

from .options import add_cfg_options, add_config, add_many_trainings

DESCRIPTION = (
    'Train the single-task networks of a multi-task config, and the network of all '
    'tasks by each method, and show metrics and delta_m with their spread over the seeds. '
    'Start again to go on after a stop, or with more methods or seeds.'
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_config(parser, ' of a multi-task network')
    parser.add_argument('--out', required=True, help='folder of the results')
    parser.add_argument(
        '--methods',
        nargs='+',
        metavar='METHOD',
        help='names out of configs/_base_/methods, such as uniform pcgrad amtl, or method files '
        '(default: all of them)',
    )
    parser.add_argument(
        '--metrics',
        nargs='+',
        metavar='TASK/METRIC',
        help='what delta_m is made of (default: what val_cfg.references names, else --accuracies); '
        'a lower value is better where val_cfg.references says so',
    )
    parser.add_argument(
        '--accuracies',
        nargs='+',
        metavar='TASK/METRIC',
        help='the accuracy in percent of each task, for methods that follow it, such as amtl '
        "(default: the config's accuracies, else what delta_m is made of, where higher is better)",
    )
    parser.add_argument(
        '--select',
        choices=['last', 'best'],
        default='last',
        help='of each training, the metrics at its end, or those of the epoch with the best '
        'acc_mtl (default: last)',
    )
    parser.add_argument(
        '--lrs',
        nargs='+',
        type=float,
        metavar='LR',
        help='learning rates to train every network with; the one with the best mean acc_mtl '
        "counts (default: the config's)",
    )
    parser.add_argument(
        '--trim',
        type=int,
        default=0,
        metavar='N',
        help='leave the N best and the N worst seeds, by acc_mtl, out of the means (default: 0)',
    )
    add_many_trainings(parser, repeat=3)
    add_cfg_options(parser)


def run(args: argparse.Namespace) -> None:
    """Compare."""
    from mmgradsplit.studies import compare_methods

    compare_methods(**vars(args))
