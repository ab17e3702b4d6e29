"""Mends imports of upstream's packages at the moment when one of them is imported.

One finder stands in front of Python's own and knows a handful of modules:

- ``mmcv._ext``: where mmcv's ops are not compiled, :mod:`mmgradsplit.compat.mmcv_ops` stands in.
- ``xtcocotools._mask``: its wheels are built against NumPy 1, so ``pycocotools._mask``, which has
  the same functions, takes its place. It always does, so that nothing depends on how xtcocotools
  was built.
- ``mmpretrain.utils.dependency``: beside transformers 5, mmpretrain leaves its multimodal models
  out, as it does without transformers.
- Compiled modules that do not load (built against another torch or NumPy) say so in one sentence.

Nothing is imported before somebody asks for it, and a package that was imported before mmgradsplit
is left as it is.
"""

import sys
from collections.abc import Callable, Sequence
from functools import wraps
from importlib import import_module, metadata
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

from packaging.version import Version

from .versions import BINARIES, sentence_on_binary

# What mmpretrain's multimodal models import from transformers.pytorch_utils is gone from here on.
TRANSFORMERS_WITHOUT_MULTIMODAL = Version('5.0.0.dev0')


def mend_imports() -> None:
    """Put the finder in front of Python's own, once."""
    if not any(isinstance(finder, UpstreamFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, UpstreamFinder())


class UpstreamFinder(MetaPathFinder):
    """Finds the modules that need mending; leaves all others to the finders after it."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return how to load the module, or None where that is as usual.

        Args:
            fullname: Absolute name of the module.
            path: Where its package looks for modules.
            target: Not used.
        """
        if fullname == 'xtcocotools._mask':
            return ModuleSpec(fullname, _Alias('pycocotools._mask'))
        if fullname in BINARIES:
            spec = PathFinder.find_spec(fullname, path, target)
            if spec is not None:
                _explain_failures(spec)
            elif fullname == 'mmcv._ext':
                spec = ModuleSpec(fullname, _Alias('mmgradsplit.compat.mmcv_ops'))
            return spec
        if fullname == 'mmpretrain.utils.dependency' and _has_transformers_5():
            spec = PathFinder.find_spec(fullname, path, target)
            if spec is not None:
                _leave_multimodal_models_out(spec)
            return spec
        return None


class _Alias(Loader):
    """Loads another module under the name that was asked for."""

    def __init__(self, name: str) -> None:
        self.name = name

    def exec_module(self, module: ModuleType) -> None:
        sys.modules[module.__name__] = import_module(self.name)


def _explain_failures(spec: ModuleSpec) -> None:
    """Let a module that does not load raise an ImportError of one sentence."""

    def explained(load: Callable[[Any], Any]) -> Callable[[Any], Any]:
        @wraps(load)
        def call(argument: Any) -> Any:
            try:
                return load(argument)
            # RuntimeError: torch misses an operator; ValueError: NumPy's types have another size.
            except (ImportError, OSError, RuntimeError, ValueError, AttributeError) as error:
                raise ImportError(sentence_on_binary(spec.name, error)) from None

        return call

    # Instead of a loader around the loader, which everything that inspects modules would have to
    # see through.
    for name in ('create_module', 'exec_module'):
        setattr(spec.loader, name, explained(getattr(spec.loader, name)))


def _leave_multimodal_models_out(spec: ModuleSpec) -> None:
    assert spec.loader is not None
    exec_module = spec.loader.exec_module

    def exec_and_set(module: ModuleType) -> None:
        exec_module(module)
        module.__dict__['WITH_MULTIMODAL'] = False

    setattr(spec.loader, 'exec_module', exec_and_set)  # noqa: B010


def _has_transformers_5() -> bool:
    try:
        return Version(metadata.version('transformers')) >= TRANSFORMERS_WITHOUT_MULTIMODAL
    except metadata.PackageNotFoundError:
        return False
