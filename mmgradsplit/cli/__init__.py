"""The command line: ``mmgradsplit COMMAND ...``; the scripts of ``tools/`` call the same commands.

A module of this package is a command: ``DESCRIPTION`` says what it does, ``add_arguments`` which
arguments it takes, and ``run`` makes one call into mmgradsplit of them. What is slow to import is
imported by ``run``, so that ``--help`` and mistakes in the arguments answer at once.
"""

from .main import COMMANDS, main, make_parser, run_command

__all__ = ['COMMANDS', 'main', 'make_parser', 'run_command']
