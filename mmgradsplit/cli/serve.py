"""``mmgradsplit serve``: show what a checkpoint says of a picture on a page in the browser."""

import argparse

from .options import add_cfg_options, add_checkpoint, add_device, add_passes

DESCRIPTION = (
    'Show a page in the browser: drop a picture on it and see what each task says of it, and its '
    'nearest neighbours in a gallery. It needs gradio (extra "demo") and is seen on this machine '
    'alone, unless --host says otherwise.'
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_checkpoint(parser)
    parser.add_argument(
        '--gallery', metavar='DIR', help='show the nearest pictures of this gallery, too'
    )
    parser.add_argument('--top', type=int, default=8, help='number of neighbours (default 8)')
    add_passes(parser)
    parser.add_argument(
        '--host',
        default='127.0.0.1',
        help='address to listen at; 0.0.0.0 lets every machine of the network in '
        '(default: %(default)s)',
    )
    parser.add_argument('--port', type=int, default=7860, help='(default: %(default)s)')
    add_device(parser)
    add_cfg_options(parser)


def run(args: argparse.Namespace) -> None:
    """Serve until it is stopped."""
    from mmgradsplit.inference.serve import serve

    serve(**vars(args))
