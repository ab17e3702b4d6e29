"""Options that several commands have."""

import argparse
from typing import Any


class ConfigOptions(argparse.Action):
    """mmengine's ``DictAction``, imported when the option is met: it takes as long as torch."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Add KEY=VALUE pairs to the dictionary of the option."""
        from mmengine.config import DictAction

        DictAction(self.option_strings, self.dest, nargs='+')(
            parser, namespace, values, option_string
        )


def add_config(parser: argparse.ArgumentParser, what: str = '') -> None:
    """Add the argument ``config``.

    Args:
        parser: The command's.
        what: Of what it is the config, where not every config will do.
    """
    parser.add_argument(
        'config', help=f'config file{what}, or a name that `mmgradsplit configs` lists'
    )


def add_checkpoint(parser: argparse.ArgumentParser) -> None:
    """Add the arguments ``config``, None where it is ``-``, and ``checkpoint``."""
    parser.add_argument(
        'config',
        type=lambda name: None if name == '-' else name,
        help='config file, or a name that `mmgradsplit configs` lists, or - for the config that '
        'the checkpoint holds',
    )
    parser.add_argument('checkpoint', help='checkpoint file')
    add_trust(parser)


def add_trust(parser: argparse.ArgumentParser) -> None:
    """Add ``--trust-checkpoint``, for every command that reads one."""
    parser.add_argument(
        '--trust-checkpoint',
        action='store_true',
        help='also read checkpoints that can run code when they are read, because you trust who '
        'made them',
    )


def add_checkpoint_with_config(parser: argparse.ArgumentParser) -> None:
    """Add the argument ``checkpoint``, and ``--config`` for one that holds no config."""
    parser.add_argument('checkpoint', help='checkpoint file of a multi-task network')
    parser.add_argument(
        '--config', help='config of the network (default: the one that the checkpoint holds)'
    )
    add_trust(parser)


def add_passes(parser: argparse.ArgumentParser, default: str = 'shared') -> None:
    """Add ``--passes`` and ``--size``: how the network sees pictures.

    Args:
        parser: The command's.
        default: ``'shared'`` or ``'own'``.
    """
    parser.add_argument(
        '--passes',
        choices=['shared', 'own'],
        default=default,
        help='all tasks in one pass at one size, pictures letterboxed, or each at its own, as it '
        'was validated (default: %(default)s)',
    )
    add_size(parser, "the network's input in the shared pass (default: that of the first task)")


class _Size(argparse.Action):
    """Two numbers as a tuple, as everything that takes a size has it."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        setattr(namespace, self.dest, tuple(values))


def add_size(parser: Any, of: str) -> None:
    """Add ``--size W H``.

    Args:
        parser: The command's, or a group of its options.
        of: What has this size.
    """
    parser.add_argument(
        '--size', nargs=2, type=int, action=_Size, metavar=('W', 'H'), help=f'size of {of}'
    )


def add_overwrite(
    parser: argparse.ArgumentParser, what: str = 'write over files that are there'
) -> None:
    """Add ``--overwrite``.

    Args:
        parser: The command's.
        what: What it does.
    """
    parser.add_argument('--overwrite', action='store_true', help=what)


def add_cfg_options(parser: argparse.ArgumentParser, of: str = 'the config') -> None:
    """Add ``--cfg-options KEY=VALUE ...``.

    Args:
        parser: The command's.
        of: Whose keys they are, and an example.
    """
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=ConfigOptions,
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
        '--amp',
        action='store_true',
        help='mixed precision: bfloat16, or float16 with loss scaling on a GPU without it',
    )


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add ``--device``."""
    parser.add_argument('--device', help='such as cuda:0 (default: a GPU where there is one)')


def add_many_trainings(parser: argparse.ArgumentParser, repeat: int) -> None:
    """Add ``--repeat``, ``--gpus``, ``--processes`` and ``--amp``, for many trainings at once.

    Args:
        parser: The command's.
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
    add_trust(parser)


def add_launcher(parser: argparse.ArgumentParser, doing: str, script: str) -> None:
    """Add ``--launcher``, and the rank that torchrun's predecessor passes.

    Args:
        parser: The command's.
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
