"""``mmgradsplit predict``: draw what a checkpoint predicts."""

import argparse

from .options import add_cfg_options, add_config, add_device

DESCRIPTION = 'Draw what a checkpoint predicts of an image for all tasks, in one pass.'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_config(parser)
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        'images', nargs='*', help='image files (default: images of the validation set)'
    )
    parser.add_argument('--out', default='panels', help='folder for the pictures')
    parser.add_argument(
        '--size', nargs=2, type=int, metavar=('W', 'H'), help='size of the images for the network'
    )
    parser.add_argument(
        '--num-images',
        type=int,
        default=4,
        help='number of validation images, if no image is given',
    )
    add_device(parser)
    add_cfg_options(parser)


def run(args: argparse.Namespace) -> None:
    """Predict."""
    from mmgradsplit.apis import predict_to_folder
    from mmgradsplit.apis.preparation import prepare

    # Nothing is written into the work dir.
    config = prepare(args.config, work_dir='work_dirs', cfg_options=args.cfg_options)
    files = predict_to_folder(
        config,
        args.checkpoint,
        args.images,
        args.out,
        size=args.size and tuple(args.size),
        num_images=args.num_images,
        device=args.device,
    )
    for file in files:
        print(file)
