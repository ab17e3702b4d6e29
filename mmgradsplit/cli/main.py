"""The parser of all commands, and what runs one of them."""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module

import shtab

from mmgradsplit.version import __version__

from .errors import one_sentence

# What each command does, in a line; its module has the same name, with underscores.
COMMANDS: Mapping[str, str] = {
    'train': 'train the network of a config',
    'test': 'measure a checkpoint on the test sets',
    'check': "read every file of a config's data sets, and say what is wrong",
    'predict': 'predict pictures, videos and scenes with a checkpoint',
    'gallery': 'find the same person again in a folder of pictures',
    'serve': 'show what a checkpoint says of a picture on a page in the browser',
    'export': 'write tasks as models of their toolboxes, or as one graph',
    'publish': 'make a checkpoint ready for other people, with a model card',
    'configs': 'list the configs that come with mmgradsplit',
    'draw': 'draw a data set, so that nothing has to be downloaded',
    'estimate-relations': 'measure how the tasks of a config change each other',
    'compare-methods': 'train a config by several methods, over seeds',
    'train-seeds': 'train configs over several seeds',
    'report': 'show finished runs as one table, with their curves',
    'complexity': "count a network's parameters and operations",
    'conflict-frequency': 'measure how often task gradients conflict, layer by layer',
    'gradient-angles': 'measure the angles between task gradients',
    'threshold-sweep': 'show relation masks at several thresholds',
    'compare-relations': 'show where two relations files agree',
}


def _add_command(parser: argparse.ArgumentParser, name: str) -> None:
    """Give a parser the description, the arguments and the function of a command."""
    module = import_module(f'{__package__}.{name.replace("-", "_")}')
    parser.description = module.DESCRIPTION
    module.add_arguments(parser)
    parser.add_argument('--debug', action='store_true', help='show the traceback of an error')
    parser.set_defaults(run=module.run)


def make_parser() -> argparse.ArgumentParser:
    """The parser of ``mmgradsplit``, with every command."""
    parser = argparse.ArgumentParser(
        prog='mmgradsplit', description='Train one vision network for several tasks.'
    )
    parser.add_argument('--version', action='version', version=__version__)
    shtab.add_argument_to(parser, help='print the completion script of a shell')
    commands = parser.add_subparsers(metavar='COMMAND', required=True)
    for name, summary in COMMANDS.items():
        _add_command(commands.add_parser(name, help=summary), name)
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Run ``mmgradsplit``.

    Args:
        arguments: The command and its arguments, by default those of this process.
    """
    _run(make_parser().parse_args(arguments))


def run_command(name: str, *given: str) -> None:
    """Run one command with the arguments of this process: what the scripts of ``tools/`` do.

    Args:
        name: The command.
        given: Arguments that come before those of this process.
    """
    parser = argparse.ArgumentParser()
    _add_command(parser, name)
    _run(parser.parse_args([*given, *sys.argv[1:]]))


def _run(args: argparse.Namespace) -> None:
    given = vars(args)
    run: Callable[..., None] = given.pop('run')
    debug = given.pop('debug')
    trust = given.pop('trust_checkpoint', False)
    given.pop('print_completion', None)
    with one_sentence(debug):
        if trust:
            from mmgradsplit.utils import trust_checkpoints

            trust_checkpoints()
        run(args)
