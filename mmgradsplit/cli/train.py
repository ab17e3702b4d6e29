"""``mmgradsplit train``: train the network of a config."""

import argparse
import os

from .options import add_amp, add_cfg_options, add_config, add_launcher, add_method, add_trust

DESCRIPTION = 'Train the network of a config.'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_config(parser)
    parser.add_argument(
        '--work-dir', help='folder for logs and checkpoints (default: work_dirs/<config name>)'
    )
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='continue from this checkpoint, or from the newest whole one of the work dir',
    )
    add_trust(parser)
    add_method(parser)
    add_amp(parser)
    parser.add_argument('--no-validate', action='store_true', help='do not validate while training')
    add_cfg_options(
        parser,
        'the config, for instance train_cfg.max_epochs=3 optim_wrapper.modules="[layer3,layer4]"',
    )
    add_launcher(parser, 'training', 'tools/dist_train.sh')


def run(args: argparse.Namespace) -> None:
    """Train."""
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))

    from mmgradsplit.apis import stop_processes, train

    try:
        train(
            args.config,
            work_dir=args.work_dir,
            resume=args.resume,
            amp=args.amp,
            validate=not args.no_validate,
            cfg_options=args.cfg_options,
            launcher=args.launcher,
            method=args.method,
        )
    except KeyboardInterrupt:
        raise KeyboardInterrupt('--resume goes on from the newest checkpoint.') from None
    stop_processes()
