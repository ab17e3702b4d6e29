"""Pins, packaging, and the sentences that a user reads where something does not fit."""

import ast
import os
import re
import runpy
import sys
from collections.abc import Callable
from importlib import metadata, util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import setuptools
from mmengine.registry import MODELS
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from mmgradsplit import __version__

ROOT = Path(__file__).resolve().parent.parent
TOOLBOXES = r'(onedl-)?mm(engine|cv|det|detection|seg|segmentation|pretrain|pose)\b.*'


def requirements(name: str) -> list[Requirement]:
    lines = (ROOT / name).read_text().splitlines()
    return [Requirement(line) for line in lines if line and not line.lstrip().startswith('#')]


def pins(python: str) -> dict[str, str]:
    """Version of every pinned package for a version of Python."""
    environment = {'python_full_version': python, 'python_version': python.rpartition('.')[0]}
    return {
        canonicalize_name(pin.name): str(pin.specifier).removeprefix('==')
        for pin in requirements('requirements.txt')
        if pin.marker is None or pin.marker.evaluate(environment)
    }


@pytest.fixture
def installer() -> ModuleType:
    """tools/install.py as a module."""
    spec = util.spec_from_file_location('install', ROOT / 'tools' / 'install.py')
    assert spec is not None and spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# Pins ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize('python', ['3.10.13', '3.11.7', '3.12.1'])
def test_everything_that_is_asked_for_is_pinned(python: str) -> None:
    pinned = pins(python)
    for wanted in requirements('requirements.in'):
        assert pinned[canonicalize_name(wanted.name)] in wanted.specifier, wanted
    # What mmpose asks for in vain, and what needs a desktop's libraries.
    assert not pinned.keys() & {'chumpy', 'opencv-python'}


def test_every_pin_is_one_version_of_a_registry_package() -> None:
    for pin in requirements('requirements.txt'):
        assert pin.url is None
        assert re.fullmatch(r'==[\w.]+', str(pin.specifier)), pin


def test_the_installed_environment_is_the_pinned_one() -> None:
    if not Path(sys.prefix, 'installed').exists():
        pytest.skip('not in the environment that `make install` makes')
    python = '{}.{}.{}'.format(*sys.version_info)
    assert {name: metadata.version(name) for name in pins(python)} == pins(python)


# The package --------------------------------------------------------------------------------------


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What setup.py says of the package."""
    given: dict[str, Any] = {}
    monkeypatch.setattr(setuptools, 'setup', lambda **keywords: given.update(keywords))
    monkeypatch.chdir(ROOT)
    runpy.run_path('setup.py')
    return given


def test_the_package_names_no_family_of_toolboxes(given: dict[str, Any]) -> None:
    assert given['version'] == __version__
    assert given['python_requires'] == '>=3.10'
    for wanted in map(Requirement, given['install_requires']):
        assert not re.fullmatch(TOOLBOXES, wanted.name)
        assert metadata.version(wanted.name) in wanted.specifier
    folders = {str(path.parent) for path in Path('mmgradsplit').rglob('*.py')}
    assert {name.replace('.', os.sep) for name in given['packages']} == folders


def test_what_the_package_imports_is_asked_for(given: dict[str, Any]) -> None:
    """A wheel brings it; the toolboxes bring OpenCV."""
    extras = [each for extra in given['extras_require'].values() for each in extra]
    asked = [*given['install_requires'], *extras]
    names = {canonicalize_name(Requirement(each).name) for each in asked}
    distributions = metadata.packages_distributions()
    missing = set()
    for path in Path('mmgradsplit').rglob('*.py'):
        for node in ast.walk(ast.parse(path.read_text())):
            modules = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                modules = [str(node.module)]
            for module in {each.partition('.')[0] for each in modules}:
                of = {canonicalize_name(each) for each in distributions.get(module, [])}
                known = module in sys.stdlib_module_names or module in ('mmgradsplit', 'cv2')
                if of and not (known or of & names or re.fullmatch(TOOLBOXES, next(iter(of)))):
                    missing.add(f'{module} ({path})')
    assert not missing


def test_mmengine_finds_the_scope() -> None:
    with MODELS.switch_scope_and_registry('mmgradsplit') as registry:
        assert registry.scope == 'mmgradsplit'


# The installer ------------------------------------------------------------------------------------


@pytest.fixture
def call(
    installer: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., list[bool]]:
    """Calls the installer with options; returns whether mmcv's ops were compiled each time."""
    calls: list[bool] = []
    monkeypatch.setattr(installer, 'check_compiler', lambda ops: None)
    monkeypatch.setattr(installer, 'install', lambda venv, ops: calls.append(ops))

    def main(*options: str) -> list[bool]:
        monkeypatch.setattr(sys, 'argv', ['install.py', '--venv', str(tmp_path), *options])
        calls.clear()
        installer.main()
        return list(calls)

    return main


def test_second_call_installs_nothing(call: Callable[..., list[bool]]) -> None:
    assert call() == [False]
    assert call() == []
    assert call('--ops', '0') == []


def test_an_environment_remembers_whether_ops_are_compiled(
    call: Callable[..., list[bool]], installer: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call('--ops', '1') == [True]
    assert call() == call('--ops', '') == call('--ops', '1') == []
    with monkeypatch.context() as changed:  # other pins
        changed.setattr(sys, 'version', '3.12.9')
        assert call() == [True]
    assert call('--ops', '0') == [False]
    assert call() == []


def test_an_installation_that_fails_is_tried_again(
    call: Callable[..., list[bool]], installer: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(venv: Path, ops: bool) -> None:
        installer.run([sys.executable, '-c', 'raise SystemExit(3)'])

    assert call() == [False]
    with monkeypatch.context() as broken:
        broken.setattr(installer, 'install', fail)
        for _ in range(2):
            with pytest.raises(SystemExit, match='install: failed'):
                call('--ops', '1')
    assert call() == [True]


def test_fingerprint_follows_every_file_that_decides(
    installer: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / 'tools').mkdir()
    monkeypatch.setattr(installer, 'ROOT', tmp_path)
    for name in installer.INPUTS:
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    seen = {installer.fingerprint(False)}
    for name in installer.INPUTS:
        with (tmp_path / name).open('a') as file:
            file.write('# changed\n')
        seen.add(installer.fingerprint(False))
    seen.add(installer.fingerprint(True))
    monkeypatch.setattr(sys, 'version', '3.12.9')
    seen.add(installer.fingerprint(False))
    assert len(seen) == len(installer.INPUTS) + 3


@pytest.mark.parametrize('version', [(3, 9, 18), (3, 13, 0)])
def test_other_pythons_are_refused(
    installer: ModuleType, version: tuple, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, 'version_info', version)
    with pytest.raises(SystemExit, match=r'Python 3.10, 3.11 or 3.12 is needed.*make PYTHON='):
        installer.check_python()


@pytest.mark.parametrize(
    ('ops', 'python', 'sentence'),
    [
        (True, (3, 10), r"mmcv's ops are compiled.*C\+\+ compiler \(nowhere\) and no Python\.h"),
        (False, (3, 12), r'xtcocotools.* Python 3.12, is compiled.*no C compiler \(nowhere\)'),
        (False, (3, 11), None),
        (False, (3, 10), None),
    ],
)
def test_a_compiler_is_asked_for_where_something_is_compiled(
    ops: bool,
    python: tuple[int, int],
    sentence: str | None,
    installer: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for variable in ('CC', 'CXX'):
        monkeypatch.setenv(variable, 'nowhere -O2')
    monkeypatch.setattr(installer.sysconfig, 'get_paths', lambda: {'include': str(tmp_path)})
    monkeypatch.setattr(sys, 'version_info', (*python, 1))
    if sentence is None:
        installer.check_compiler(ops)
    else:
        with pytest.raises(SystemExit, match=sentence):
            installer.check_compiler(ops)


@pytest.fixture
def toolkit(installer: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of a CUDA toolkit, on a machine that has no other and no GPU."""
    monkeypatch.setenv('PATH', str(tmp_path))
    for name in ('CUDA_HOME', 'TORCH_CUDA_ARCH_LIST'):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(installer, 'DEFAULT_CUDA_HOME', str(tmp_path / 'default'))
    for name in ('toolkit/bin/nvcc', 'toolkit/include/cusparse.h'):
        file = tmp_path / name
        file.parent.mkdir(parents=True)
        file.touch(0o755)
    return tmp_path / 'toolkit'


def test_without_a_toolkit_ops_are_compiled_for_the_cpu(
    installer: ModuleType, toolkit: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert f'onedl-mmcv:torch={pins("3.11.7")["torch"]}' in installer.build_options()
    assert 'onedl-mmcv:cuda=' in installer.build_options()
    variables = installer.build_environment(Path('/venv'))
    assert variables['PATH'].split(os.pathsep)[0] == '/venv/bin'
    assert variables['CUDA_VISIBLE_DEVICES'] == '' and 'FORCE_CUDA' not in variables
    monkeypatch.setattr(installer, 'DEFAULT_CUDA_HOME', str(toolkit))
    with monkeypatch.context() as said:
        said.setenv('CUDA_HOME', '')
        assert installer.find_cuda() == ''
    assert installer.find_cuda() == str(toolkit)
    (toolkit / 'include/cusparse.h').unlink()  # nvcc alone
    assert installer.find_cuda() == ''


@pytest.mark.parametrize('place', ['CUDA_HOME', 'PATH', 'wrapper', 'default'])
def test_with_a_toolkit_ops_are_compiled_for_cuda(
    place: str, installer: ModuleType, toolkit: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if place == 'wrapper':  # a script elsewhere, from which the folder cannot be told
        monkeypatch.setenv('PATH', str(toolkit.parent / 'bin'))
        (toolkit.parent / 'bin').mkdir()
        (toolkit.parent / 'bin/nvcc').touch(0o755)
    elif place != 'default':
        monkeypatch.setenv(place, str(toolkit / 'bin' if place == 'PATH' else toolkit))
    if place in ('wrapper', 'default'):
        monkeypatch.setattr(installer, 'DEFAULT_CUDA_HOME', str(toolkit))
    assert f'onedl-mmcv:cuda={toolkit}' in installer.build_options()
    variables = installer.build_environment(Path('/venv'))
    assert (variables['FORCE_CUDA'], variables['CUDA_HOME']) == ('1', str(toolkit))
    assert variables['TORCH_CUDA_ARCH_LIST'] == '7.5+PTX'
    assert 'CUDA_VISIBLE_DEVICES' not in variables


def test_compilers_fit_into_the_memory(
    installer: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, 'cpu_count', lambda: 16)
    for gigabytes, jobs in ((2, 1), (13, 4), (512, 16)):
        pages = {'SC_PAGE_SIZE': 2**12, 'SC_PHYS_PAGES': gigabytes * 2**18}
        monkeypatch.setattr(os, 'sysconf', pages.get)
        assert installer.jobs() == jobs
