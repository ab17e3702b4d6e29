"""Draw the indoor scenes: arguments, then one call. May import mmgradsplit."""

import argparse
import inspect
from pathlib import Path

from mmgradsplit.synthetic.scenes import make_scenes


def main() -> None:
    """Read the arguments and draw."""
    parser = argparse.ArgumentParser(
        description='Draw rooms with segmentation, depth and surface normals, as NYUv2 has them.',
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument('--out', default='data/scenes', help='folder to write')
    for name, parameter in inspect.signature(make_scenes).parameters.items():
        if name != 'out':
            parser.add_argument(
                f'--{name}', type=int, default=parameter.default, metavar='N', help=' '
            )
    arguments = vars(parser.parse_args())
    drawn_before = Path(arguments['out'], 'dataset.json').is_file()
    out = make_scenes(**arguments)
    print(f'The scenes are in {out}{", drawn before" if drawn_before else ""}.')


if __name__ == '__main__':
    main()
