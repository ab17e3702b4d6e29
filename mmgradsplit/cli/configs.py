"""``mmgradsplit configs``: list the configs that come with mmgradsplit."""

import argparse

DESCRIPTION = (
    'List the configs that come with mmgradsplit, by the names that every command takes. A config '
    "of one's own inherits from one by _base_ = 'mmgradsplit::NAME'."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument('word', nargs='?', default='', help='only those with this in their name')


def run(args: argparse.Namespace) -> None:
    """List."""
    from mmgradsplit.config_files import CONFIGS, config_names

    names = config_names(args.word)
    if not names:
        raise ValueError(f"no config has '{args.word}' in its name")
    width = max(map(len, names))
    for name in names:
        first = (CONFIGS / name).read_text(encoding='utf-8').partition('\n')[0]
        print(f'{name:{width}}  {first.removeprefix("# ")}'.rstrip())
