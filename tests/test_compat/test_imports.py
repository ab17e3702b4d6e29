"""Imports of upstream's packages are mended when they happen, and nothing else is touched."""

import os
import subprocess
import sys
from importlib import import_module
from importlib.util import module_from_spec
from pathlib import Path
from types import ModuleType

import pytest

from mmgradsplit.compat import imports, mmcv_ops
from mmgradsplit.compat.imports import UpstreamFinder, mend_imports

ROOT = Path(__file__).resolve().parents[2]


def load(name: str, folder: Path) -> ModuleType:
    """Import a module through the finder, as if its package lay in ``folder``."""
    spec = UpstreamFinder().find_spec(name, [str(folder)])
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def in_a_new_python(code: str, *folders: Path) -> subprocess.CompletedProcess:
    path = os.pathsep.join(map(str, [*folders, ROOT]))
    environment = dict(os.environ, PYTHONPATH=path)
    command = [sys.executable, '-c', code]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def test_the_plugin_alone_imports_neither_torch_nor_a_toolbox() -> None:
    code = 'import sys, mmgradsplit; print(*sys.modules)'
    modules = {name.partition('.')[0] for name in in_a_new_python(code).stdout.split()}
    assert 'mmgradsplit' in modules
    toolboxes = {'mmengine', 'mmcv', 'mmdet', 'mmpose', 'mmpretrain', 'mmseg'}
    assert not modules & {'torch', 'torchvision', 'numpy', *toolboxes}


def test_the_finder_is_there_once_and_minds_its_own_business() -> None:
    mend_imports()
    assert sum(isinstance(finder, UpstreamFinder) for finder in sys.meta_path) == 1
    for name in ('mmcv.ops', 'xtcocotools.mask', 'torchvision.ops', 'torch'):
        assert UpstreamFinder().find_spec(name, []) is None


# The messages are those that the broken packages give.
@pytest.mark.parametrize(
    ('name', 'error', 'sentence'),
    [
        (
            'torchvision',
            RuntimeError('operator torchvision::nms does not exist'),
            r'torchvision was built for another torch than the installed torch \d.*torch==',
        ),
        (
            'mmcv._ext',
            ImportError('_ext.so: undefined symbol: _ZN3c104cuda9SetDeviceEi'),
            r'another torch than the installed torch \d.*--no-build-isolation (onedl-)?mmcv ',
        ),
        (
            'pycocotools._mask',
            ValueError('numpy.dtype size changed, may indicate binary incompatibility.\nmore'),
            r'another NumPy than the installed NumPy \d.*--force-reinstall',
        ),
    ],
)
def test_binaries_that_do_not_load(
    name: str, error: Exception, sentence: str, tmp_path: Path
) -> None:
    file = tmp_path / f'{name.rpartition(".")[2]}.py'
    file.write_text('loaded = True')
    assert load(name, tmp_path).loaded
    file.write_text(f'raise {error!r}  # and another size than before')
    with pytest.raises(ImportError, match=sentence) as caught:
        load(name, tmp_path)
    assert '\n' not in str(caught.value)
    assert str(error).splitlines()[0] in str(caught.value)
    assert caught.value.__suppress_context__


def test_a_shared_object_of_another_torch_is_explained(tmp_path: Path) -> None:
    """A compiled module already fails when it is created, before it is executed."""
    from importlib.machinery import EXTENSION_SUFFIXES

    (tmp_path / f'_ext{EXTENSION_SUFFIXES[0]}').write_bytes(b'no shared object')
    with pytest.raises(ImportError, match="mmcv's compiled ops were built against another torch"):
        load('mmcv._ext', tmp_path)


def test_a_user_reads_the_sentence_last(tmp_path: Path) -> None:
    error = 'operator torchvision::nms does not exist'
    (tmp_path / 'torchvision.py').write_text(f'raise RuntimeError({error!r})')
    errors = in_a_new_python('import mmgradsplit, torchvision', tmp_path).stderr
    last = errors.splitlines()[-1]
    assert last.startswith('ImportError: torchvision was built for another torch')
    assert errors.count(error) == 1


def test_compiled_ops_come_first_and_the_stand_in_where_there_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, 'mmcv._ext', sys.modules.get('mmcv._ext', mmcv_ops))
    load('mmcv._ext', tmp_path)
    assert sys.modules['mmcv._ext'] is mmcv_ops
    (tmp_path / '_ext.py').write_text('compiled = True')
    assert load('mmcv._ext', tmp_path).compiled


def test_xtcocotools_uses_the_masks_of_pycocotools() -> None:
    masks = import_module('xtcocotools._mask')
    assert masks is import_module('pycocotools._mask')
    assert masks.__spec__.name == 'pycocotools._mask'
    assert import_module('xtcocotools.mask')._mask is masks


@pytest.mark.parametrize(
    ('version', 'mended'), [('4.57.6', False), ('5.0.0rc1', True), ('5.24.0', True), (None, False)]
)
def test_beside_transformers_5_mmpretrain_leaves_multimodal_models_out(
    version: str | None, mended: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def installed(name: str) -> str:
        assert name == 'transformers'
        if version is None:
            raise imports.metadata.PackageNotFoundError(name)
        return version

    monkeypatch.setattr(imports.metadata, 'version', installed)
    (tmp_path / 'dependency.py').write_text('WITH_MULTIMODAL, other = True, 1')
    spec = UpstreamFinder().find_spec('mmpretrain.utils.dependency', [str(tmp_path)])
    assert (spec is not None) == mended
    if mended:
        module = load('mmpretrain.utils.dependency', tmp_path)
        assert (module.WITH_MULTIMODAL, module.other) == (False, 1)


def test_mmpretrain_imports_beside_transformers_5(tmp_path: Path) -> None:
    """With a package that has transformers' name and version, and none of its contents."""
    (tmp_path / 'transformers').mkdir()
    (tmp_path / 'transformers/__init__.py').write_text('')
    (tmp_path / 'transformers-5.24.0.dist-info').mkdir()
    metadata = 'Metadata-Version: 2.1\nName: transformers\nVersion: 5.24.0\n'
    (tmp_path / 'transformers-5.24.0.dist-info/METADATA').write_text(metadata)
    code = 'print(models.ResNet.__name__, hasattr(models, "Blip2Caption"))'
    result = in_a_new_python('import mmgradsplit, mmpretrain.models as models; ' + code, tmp_path)
    assert result.stdout.split()[-2:] == ['ResNet', 'False'], result.stderr
