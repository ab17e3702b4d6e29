"""Options that several tools have."""

import argparse
import inspect
from collections.abc import Callable
from pathlib import Path

from mmengine.config import DictAction

from mmgradsplit.synthetic.made import DONE


def add_cfg_options(parser: argparse.ArgumentParser, of: str = 'the config') -> None:
    """Add ``--cfg-options KEY=VALUE ...``.

    Args:
        parser: The tool's.
        of: Whose keys they are, and an example.
    """
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help=f'override keys of {of}',
    )


def add_method(parser: argparse.ArgumentParser) -> None:
    """Add ``--method``."""
    parser.add_argument(
        '--method',
        metavar='NAME',
        help="in place of the config's: a name out of configs/_base_/methods, or a method file",
    )


def add_amp(parser: argparse.ArgumentParser) -> None:
    """Add ``--amp``."""
    parser.add_argument(
        '--amp', action='store_true', help='mixed precision (float16 on a GPU, bfloat16 on a CPU)'
    )


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add ``--device``."""
    parser.add_argument('--device', help='such as cuda:0 (default: a GPU where there is one)')


def add_many_trainings(parser: argparse.ArgumentParser, repeat: int) -> None:
    """Add ``--repeat``, ``--gpus``, ``--processes`` and ``--amp``, for many trainings at once.

    Args:
        parser: The tool's.
        repeat: Number of seeds by default.
    """
    parser.add_argument(
        '--repeat',
        type=int,
        default=repeat,
        metavar='N',
        help=f'number of seeds (default: {repeat})',
    )
    parser.add_argument(
        '--gpus', nargs='+', default=[], metavar='GPU', help='spread the trainings over these GPUs'
    )
    parser.add_argument(
        '--processes', type=int, metavar='N', help='trainings at once (default: one a GPU)'
    )
    add_amp(parser)


def add_launcher(parser: argparse.ArgumentParser, doing: str, script: str) -> None:
    """Add ``--launcher``, and the rank that torchrun's predecessor passes.

    Args:
        parser: The tool's.
        doing: What is distributed.
        script: The script that starts the processes.
    """
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help=f'how the processes of distributed {doing} are started; see {script}',
    )
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)


def draw_by_command(draw: Callable[..., Path], what: str, out: str) -> None:
    """Read the arguments of a function that draws a data set from the command line, and draw.

    Args:
        draw: Draws into the folder ``out``; its other arguments are whole numbers.
        what: What it draws.
        out: Default of ``--out``.
    """
    parser = argparse.ArgumentParser(
        description=f'Draw {what}.', formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument('--out', default=out, help='folder to write')
    for name, parameter in inspect.signature(draw).parameters.items():
        if name != 'out':
            flag = '--' + name.replace('_', '-')
            parser.add_argument(flag, type=int, default=parameter.default, metavar='N', help=' ')
    arguments = vars(parser.parse_args())
    drawn_before = Path(arguments['out'], DONE).is_file()
    print(f'The data set is in {draw(**arguments)}{", drawn before" if drawn_before else ""}.')
