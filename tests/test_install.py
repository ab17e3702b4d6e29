"""Pins, packaging, and the sentences that a user reads where something does not fit."""

import os
import re
import runpy
import sys
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


def test_ops_are_compiled_against_the_torch_and_numpy_that_are_installed() -> None:
    rules = (ROOT / 'pyproject.toml').read_text()
    built_for = re.search(r'onedl-mmcv = \["torch==([\d.]+)"', rules)
    assert built_for and built_for[1] == pins('3.11.7')['torch']
    built_for = re.search(r'xtcocotools = \["numpy==([\d.]+)"', rules)
    assert built_for and built_for[1] == pins('3.11.7')['numpy']


# The package --------------------------------------------------------------------------------------


def test_the_package_names_no_family_of_toolboxes(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}
    monkeypatch.setattr(setuptools, 'setup', lambda **keywords: given.update(keywords))
    monkeypatch.chdir(ROOT)
    runpy.run_path('setup.py')
    assert given['version'] == __version__
    assert given['python_requires'] == '>=3.10'
    for wanted in map(Requirement, given['install_requires']):
        assert not re.fullmatch(TOOLBOXES, wanted.name)
        assert metadata.version(wanted.name) in wanted.specifier
    folders = {str(path.parent) for path in Path('mmgradsplit').rglob('*.py')}
    assert {name.replace('.', os.sep) for name in given['packages']} == folders


def test_mmengine_finds_the_scope() -> None:
    with MODELS.switch_scope_and_registry('mmgradsplit') as registry:
        assert registry.scope == 'mmgradsplit'


# The installer ------------------------------------------------------------------------------------


def test_second_call_installs_nothing(
    installer: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Path] = []
    monkeypatch.setattr(installer, 'install', calls.append)
    monkeypatch.setattr(sys, 'argv', ['install.py', '--venv', str(tmp_path)])
    installer.main()
    installer.main()
    assert calls == [tmp_path]
    monkeypatch.setenv('FORCE_CUDA', '1')
    installer.main()
    assert calls == [tmp_path, tmp_path]


def test_an_installation_that_fails_is_tried_again(
    installer: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(venv: Path) -> None:
        installer.run([sys.executable, '-c', 'raise SystemExit(3)'])

    monkeypatch.setattr(installer, 'install', fail)
    monkeypatch.setattr(sys, 'argv', ['install.py', '--venv', str(tmp_path)])
    for _ in range(2):
        with pytest.raises(SystemExit, match='install: failed'):
            installer.main()


def test_fingerprint_follows_every_file_that_decides(
    installer: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / 'tools').mkdir()
    monkeypatch.setattr(installer, 'ROOT', tmp_path)
    for name in installer.INPUTS:
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    seen = {installer.fingerprint()}
    for name in installer.INPUTS:
        with (tmp_path / name).open('a') as file:
            file.write('# changed\n')
        seen.add(installer.fingerprint())
    monkeypatch.setattr(sys, 'version', '3.12.9')
    seen.add(installer.fingerprint())
    assert len(seen) == len(installer.INPUTS) + 2


@pytest.mark.parametrize('version', [(3, 9, 18), (3, 13, 0)])
def test_other_pythons_are_refused(
    installer: ModuleType, version: tuple, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, 'version_info', version)
    with pytest.raises(SystemExit, match=r'Python 3.10, 3.11 or 3.12 is needed.*make PYTHON='):
        installer.check_python()


def test_a_missing_compiler_or_header_is_named(
    installer: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('CXX', 'no-such-compiler -O2')
    monkeypatch.setattr(installer.sysconfig, 'get_paths', lambda: {'include': str(tmp_path)})
    with pytest.raises(SystemExit, match=r'C\+\+ compiler \(no-such-compiler\) and no Python\.h'):
        installer.check_compiler()


def test_compilers_fit_into_the_memory(
    installer: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, 'cpu_count', lambda: 16)
    for gigabytes, jobs in ((2, 1), (13, 4), (512, 16)):
        pages = {'SC_PAGE_SIZE': 2**12, 'SC_PHYS_PAGES': gigabytes * 2**18}
        monkeypatch.setattr(os, 'sysconf', pages.get)
        assert installer.jobs() == jobs
