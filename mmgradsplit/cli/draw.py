"""``mmgradsplit draw``: draw a data set, so that nothing has to be downloaded."""

import argparse
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

DESCRIPTION = 'Draw a data set. One that was drawn already with the same numbers is left as it is.'

# The whole numbers that each set can be given, and what they are by default.
PEDESTRIANS: Mapping[str, tuple[int | None, str]] = {
    'seed': (0, 'seed of all that is random'),
    'attribute_train': (2000, 'training images with attributes'),
    'attribute_val': (200, 'validation images with attributes'),
    'attribute_test': (500, 'test images with attributes'),
    'reid_train_ids': (60, 'identities of training'),
    'reid_test_ids': (30, 'identities of the test'),
    'images_per_id': (18, 'images of each identity'),
    'distractors': (60, 'distractor images in the gallery'),
    'pose_train': (1600, 'training images with keypoints'),
    'pose_val': (200, 'validation images with keypoints'),
    'parsing_train': (1200, 'training images with parts'),
    'parsing_val': (150, 'validation images with parts'),
    'workers': (None, 'processes that draw (default: one a core)'),
}
SCENES: Mapping[str, tuple[int | None, str]] = {
    'train': (400, 'training pictures'),
    'val': (100, 'validation pictures'),
    'width': (160, 'width of the pictures'),
    'height': (120, 'height of the pictures'),
    'seed': (0, 'seed of all that is random'),
}
DIGITS: Mapping[str, tuple[int | None, str]] = {
    'train': (20000, 'training pictures'),
    'test': (2000, 'test pictures'),
    'size': (64, 'height and width of the pictures'),
    'digit_size': (56, 'height and width of the digits'),
    'seed': (0, 'seed of all that is random'),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    sets = parser.add_subparsers(dest='set', metavar='SET', required=True)
    pedestrians = sets.add_parser(
        'pedestrians', help='people, in the formats of PA-100K, Market-1501, MPII and LIP'
    )
    scenes = sets.add_parser(
        'scenes', help='rooms with segmentation, depth and surface normals, as NYUv2 has them'
    )
    digits = sets.add_parser(
        'digits', help='MNIST on CIFAR-10: class of digit and of image, mask of the digit'
    )
    digits.add_argument('mnist', help="folder of MNIST's IDX files, or torchvision's root of it")
    digits.add_argument('cifar', help='CIFAR-10: zip or folder of images, or cifar-10-batches-py')
    digits.add_argument('out', help='folder to write')
    for each in (pedestrians, scenes):
        name = each.prog.split()[-1]
        each.add_argument('--out', default=f'data/{name}', help='folder (default: %(default)s)')
    for each, numbers in ((pedestrians, PEDESTRIANS), (scenes, SCENES), (digits, DIGITS)):
        each.description = DESCRIPTION
        for key, (default, what) in numbers.items():
            flag = '--' + key.replace('_', '-')
            shown = '' if default is None else ' (default: %(default)s)'
            each.add_argument(flag, type=int, default=default, metavar='N', help=what + shown)


def run(args: argparse.Namespace) -> None:
    """Draw."""
    given = vars(args)
    name = given.pop('set')
    out = Path(given['out'])
    # Each set has a module of its own, and is imported only where it is drawn.
    module = import_module(f'mmgradsplit.synthetic.{name}')
    made = import_module('mmgradsplit.synthetic.made')
    drawn_before = Path(out, made.DONE).is_file()
    folder = getattr(module, f'make_{name}')(**given)
    print(f'The data set is in {folder}{", drawn before" if drawn_before else ""}.')
