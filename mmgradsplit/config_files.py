"""The config files that come with mmgradsplit, in a clone and in an installed package alike.

They are below ``.mim`` in the package, where mmengine and ``mim`` look for the configs of an
OpenMMLab package; in a clone that is a link to ``configs/``.
"""

import difflib
from pathlib import Path

CONFIGS = Path(__file__).parent / '.mim' / 'configs'
PREFIXES = ('mmgradsplit::', 'configs/')


def config_names(word: str = '') -> list[str]:
    """The names of the configs that can be trained, such as ``gradsplit/r50gn_4task.py``.

    Args:
        word: Only those with this in their name.
    """
    names = (path.relative_to(CONFIGS).as_posix() for path in CONFIGS.glob('*/*.py'))
    return sorted(name for name in names if word in name and not name.startswith('_base_/'))


def find_config(name: str | Path) -> Path:
    """The file of a config.

    Args:
        name: A file, or a name out of :func:`config_names`, which may have ``configs/`` or
            ``mmgradsplit::`` before it. A file comes first.

    Raises:
        FileNotFoundError: If there is neither.
    """
    if Path(name).is_file():
        return Path(name)
    short = str(name)
    for prefix in PREFIXES:
        short = short.removeprefix(prefix)
    if '..' not in Path(short).parts and (CONFIGS / short).is_file():
        return CONFIGS / short
    near = difflib.get_close_matches(short, config_names(), 1)
    hint = f' (did you mean {near[0]}?)' if near else ''
    raise FileNotFoundError(
        f"no config file '{name}'{hint}; `mmgradsplit configs` lists those of the project"
    )
