"""``mmgradsplit predict``: what a checkpoint says of pictures, videos and scenes."""

import argparse
import sys

from .options import add_cfg_options, add_checkpoint, add_device, add_overwrite, add_passes

DESCRIPTION = (
    'Predict pictures, folders, videos or whole scenes for all tasks of a checkpoint, and write '
    'panels, overlays, JSON, COCO files, label maps, arrays or a video.'
)
FORMATS = ('panel', 'overlay', 'json', 'coco', 'png', 'npy', 'video')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_checkpoint(parser)
    parser.add_argument(
        'images',
        nargs='*',
        help="pictures, folders, patterns such as 'photos/**/*.jpg', videos, a camera's number or "
        'the address of a stream (default: images of the validation set)',
    )
    parser.add_argument('--out', default='panels', metavar='DIR', help='folder for the files')
    parser.add_argument(
        '--out-format',
        nargs='+',
        choices=FORMATS,
        default=['panel'],
        help='what is written (default: panel); docs/inference.md shows each',
    )
    add_overwrite(parser)
    parser.add_argument('--tasks', nargs='+', metavar='TASK', help='only these tasks')
    add_passes(parser)
    parser.add_argument('--batch-size', type=int, default=8, help='pictures of a batch (default 8)')
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        '--detector',
        nargs=2,
        metavar=('CONFIG', 'CHECKPOINT'),
        help='whole scenes: predict each person that this detector of mmdet finds',
    )
    where.add_argument(
        '--boxes', metavar='JSON', help='whole scenes: predict each person of this COCO file'
    )
    parser.add_argument(
        '--threshold',
        type=float,
        metavar='SCORE',
        help='leave people with a lower score out (default: 0.5 of a detector, 0 of a file)',
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
    from mmgradsplit.inference import (
        BoxesFile,
        Detector,
        PeopleFinder,
        draw_validation_images,
        predict_to_folder,
    )

    common = dict(
        size=args.size,
        overwrite=args.overwrite,
        device=args.device,
        cfg_options=args.cfg_options,
    )
    if args.images:
        threshold = {} if args.threshold is None else dict(threshold=args.threshold)
        people: PeopleFinder | None = None
        if args.detector:
            people = Detector(args.detector[0], args.detector[1], args.device, **threshold)
        elif args.boxes:
            people = BoxesFile(args.boxes, **threshold)
        files = predict_to_folder(
            args.config,
            args.checkpoint,
            args.images,
            args.out,
            formats=args.out_format,
            people=people,
            batch_size=args.batch_size,
            tasks=args.tasks,
            passes=args.passes,
            progress=sys.stderr.isatty(),
            **common,
        )
    else:
        files = draw_validation_images(
            args.config, args.checkpoint, args.out, num_images=args.num_images, **common
        )
    for file in files:
        print(file)
