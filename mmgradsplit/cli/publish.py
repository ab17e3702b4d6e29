"""``mmgradsplit publish``: make a checkpoint ready for other people."""

import argparse

from .options import add_trust

DESCRIPTION = (
    'Write the weights of a checkpoint with config, class names and metrics, without optimizer and '
    'pickled objects, and a model card beside it. Every command takes the file as a checkpoint.'
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument('checkpoint', help='checkpoint file of a multi-task network')
    add_trust(parser)
    parser.add_argument('--to', required=True, metavar='DIR', help='folder to write')
    parser.add_argument(
        '--format', dest='kind', choices=['safetensors', 'pth'], default='safetensors', help=' '
    )
    parser.add_argument(
        '--metrics',
        metavar='JSON',
        help='metrics of the checkpoint, as `mmgradsplit test --out` writes them (default: those '
        'of summary.json beside it, if they are of the same iteration)',
    )
    parser.add_argument('--name', help="of the network (default: the config's)")
    parser.add_argument(
        '--config', help='config of the network (default: the one that the checkpoint holds)'
    )


def run(args: argparse.Namespace) -> None:
    """Publish."""
    from mmgradsplit.export import publish

    for file in publish(**vars(args)):
        print(file)
