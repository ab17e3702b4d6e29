"""Draw the demo data set: arguments, then one call. May import mmgradsplit."""

import argparse
import inspect
from pathlib import Path

from mmgradsplit.synthetic.pedestrians import make_pedestrians


def main() -> None:
    """Read the arguments and draw."""
    parser = argparse.ArgumentParser(
        description='Draw pedestrians in the formats of PA-100K, Market-1501, MPII and LIP.',
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument('--out', default='data/pedestrians', help='folder to write')
    for name, parameter in inspect.signature(make_pedestrians).parameters.items():
        if name != 'out':
            flag = '--' + name.replace('_', '-')
            parser.add_argument(flag, type=int, default=parameter.default, metavar='N', help=' ')
    arguments = vars(parser.parse_args())
    drawn_before = Path(arguments['out'], 'dataset.json').is_file()
    out = make_pedestrians(**arguments)
    print(f'The pedestrians are in {out}{", drawn before" if drawn_before else ""}.')


if __name__ == '__main__':
    main()
