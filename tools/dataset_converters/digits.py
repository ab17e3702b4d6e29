"""Make the three-task digits set from MNIST and CIFAR-10: arguments, then one call."""

import argparse

from mmgradsplit.synthetic.digits import make_digits


def main() -> None:
    """Read the arguments and write the set."""
    parser = argparse.ArgumentParser(
        description='Make the three-task digits set (digit class, image class, digit mask).',
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument('mnist', help="folder of MNIST's IDX files, or torchvision's root of it")
    parser.add_argument('cifar', help='CIFAR-10: zip or folder of images, or cifar-10-batches-py')
    parser.add_argument('out', help='folder to write')
    parser.add_argument('--train', type=int, default=20000, help='number of training pictures')
    parser.add_argument('--test', type=int, default=2000, help='number of test pictures')
    parser.add_argument('--size', type=int, default=64, help='height and width of the pictures')
    parser.add_argument('--digit-size', type=int, default=56, help='height and width of the digits')
    parser.add_argument('--seed', type=int, default=0, help='seed of all that is random')
    out = make_digits(**vars(parser.parse_args()))
    print(f'The digits set is in {out}.')


if __name__ == '__main__':
    main()
