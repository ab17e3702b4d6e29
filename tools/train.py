"""Train the model of a config: argument parsing, then one call into mmgradsplit."""

import argparse
import os

from mmgradsplit.apis import stop_processes, train
from mmgradsplit.apis.command_line import add_amp, add_cfg_options, add_launcher, add_method


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description='Train the model of a config.')
    parser.add_argument('config', help='config file')
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
    add_method(parser)
    add_amp(parser)
    parser.add_argument('--no-validate', action='store_true', help='do not validate while training')
    add_cfg_options(
        parser,
        'the config, for instance train_cfg.max_epochs=3 optim_wrapper.modules="[layer3,layer4]"',
    )
    add_launcher(parser, 'training', 'tools/dist_train.sh')
    return parser.parse_args()


def main() -> None:
    """Train."""
    args = parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
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
    stop_processes()


if __name__ == '__main__':
    main()
