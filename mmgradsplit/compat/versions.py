"""One clear sentence where a toolbox is missing or does not fit.

Two families of distributions provide the toolboxes under the same import names: upstream's and the
maintained onedl-*. Either will do, and which one is installed is asked for here alone.
"""

from importlib import metadata
from typing import NamedTuple

from packaging.version import Version


class Toolbox(NamedTuple):
    """A toolbox and the versions that are known to work.

    Attributes:
        module: Import name.
        distributions: Names under which registries know it, the recommended one first.
        minimum: Oldest version.
        below: First version that is not known to work.
    """

    module: str
    distributions: tuple[str, ...]
    minimum: str
    below: str


class Binary(NamedTuple):
    """Why a compiled module fails to load.

    Attributes:
        cause: What a failure means.
        remedy: How to mend it.
    """

    cause: str
    remedy: str


TOOLBOXES = (
    Toolbox('mmengine', ('onedl-mmengine', 'mmengine'), '0.10.3', '1.0'),
    Toolbox('mmcv', ('onedl-mmcv', 'mmcv', 'mmcv-lite', 'mmcv-full'), '2.1', '2.4'),
    Toolbox('mmpretrain', ('onedl-mmpretrain', 'mmpretrain'), '1.2', '1.4'),
    Toolbox('mmseg', ('onedl-mmsegmentation', 'mmsegmentation'), '1.2.2', '1.5'),
    Toolbox('mmdet', ('onedl-mmdetection', 'mmdet'), '3.3', '3.6'),
    Toolbox('mmpose', ('mmpose',), '1.3', '1.4'),
)
# Upstream's last releases refuse upstream's last mmcv.
OLD_TOOLBOXES = {'mmseg': '1.3', 'mmdet': '3.4'}
OLD_MMCV_BELOW = '2.2'

BINARIES = {
    'torchvision': Binary(
        'torchvision was built for another torch than the installed {torch}',
        'install the torch and torchvision of one release from one source, for instance '
        'torch==2.11.0 torchvision==0.26.0',
    ),
    'mmcv._ext': Binary(
        "mmcv's compiled ops were built against another torch than the installed {torch}",
        'pip install --force-reinstall --no-deps --no-cache-dir --no-build-isolation {mmcv}',
    ),
    'pycocotools._mask': Binary(
        'pycocotools was built against another NumPy than the installed {numpy}',
        'pip install --force-reinstall --no-deps pycocotools',
    ),
}


def check_versions() -> None:
    """Check the toolboxes' versions, by what is noted of them at installation.

    Raises:
        ImportError: With one sentence on what does not fit and how to mend it.
    """
    installed = {toolbox.module: _installed(toolbox) for toolbox in TOOLBOXES}
    missing = [toolbox.distributions[0] for toolbox in TOOLBOXES if not installed[toolbox.module]]
    if missing:
        raise ImportError(
            f'mmgradsplit needs {", ".join(missing)}, not installed here: run `make install` in a '
            f'clone of mmgradsplit, or pip install the versions in its requirements.txt'
        )
    versions = {module: _only_version(module, found) for module, found in installed.items()}
    for toolbox in TOOLBOXES:
        _check_range(toolbox, versions)


def sentence_on_binary(module: str, error: Exception) -> str:
    """Say in one sentence why a compiled module does not load, and how to mend it.

    Args:
        module: Its import name, a key of ``BINARIES``.
        error: What its import raised.
    """
    names = {
        'torch': f'torch {metadata.version("torch")}',
        'numpy': f'NumPy {metadata.version("numpy")}',
        'mmcv': next(iter(_installed(TOOLBOXES[1]))),
    }
    cause, remedy = (text.format(**names) for text in BINARIES[module])
    first_line = str(error).splitlines()[0] if str(error) else type(error).__name__
    return f'{cause}: {remedy} ({first_line})'


def _installed(toolbox: Toolbox) -> dict[str, str]:
    """Version of each installed distribution that provides the toolbox."""
    found = {}
    for name in toolbox.distributions:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _only_version(module: str, found: dict[str, str]) -> Version:
    if len(found) > 1:
        raise ImportError(
            f'{" and ".join(found)} are both installed and write the same folder {module}: '
            f'pip uninstall both and install one'
        )
    return Version(next(iter(found.values())))


def _check_range(toolbox: Toolbox, versions: dict[str, Version]) -> None:
    below, reason = toolbox.below, ''
    if toolbox.module == 'mmcv':
        for module, new in OLD_TOOLBOXES.items():
            if versions[module] < Version(new):
                below, reason = OLD_MMCV_BELOW, f' with {module} {versions[module]}'
    version = versions[toolbox.module]
    if not Version(toolbox.minimum) <= version < Version(below):
        raise ImportError(
            f'mmgradsplit needs {toolbox.module} >= {toolbox.minimum}, < {below}{reason}, but '
            f'{version} is installed: pip install '
            f"'{next(iter(_installed(toolbox)))}>={toolbox.minimum},<{below}'"
        )
