"""Draw what a checkpoint predicts: argument parsing, then one call into mmgradsplit."""

import argparse

from mmengine.config import Config

from mmgradsplit.apis.command_line import add_cfg_options, add_device
from mmgradsplit.apis.inference import predict_to_folder


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description='Draw what a checkpoint predicts of an image for all tasks, in one pass.'
    )
    parser.add_argument('config', help='config file')
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
    return parser.parse_args()


def main() -> None:
    """Predict."""
    args = parse_args()
    config = args.config
    if args.cfg_options:
        config = Config.fromfile(config)
        config.merge_from_dict(args.cfg_options)
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


if __name__ == '__main__':
    main()
