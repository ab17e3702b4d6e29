"""Configs by name, in a clone and in an installed wheel, and as bases of anyone's config."""

import os
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from mmgradsplit.apis.preparation import prepare
from mmgradsplit.config_files import CONFIGS, config_names, find_config
from mmgradsplit.synthetic.pedestrians import make_pedestrians
from mmgradsplit.version import __version__

ROOT = Path(__file__).resolve().parents[2]
SIZES = dict(
    attribute_train=40, attribute_val=2, attribute_test=2, reid_train_ids=2, reid_test_ids=2,
    images_per_id=12, distractors=0, pose_train=40, pose_val=2, parsing_train=2, parsing_val=2,
    workers=1,
)  # fmt: skip
# One of each folder.
SOME = list({name.partition('/')[0]: name for name in config_names()}.values())


def test_a_file_comes_before_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    name = 'gradsplit/r50gn_4task.py'
    for given in (name, f'configs/{name}', f'mmgradsplit::{name}'):
        assert find_config(given) == CONFIGS / name
    (tmp_path / 'gradsplit').mkdir()
    (tmp_path / name).write_text('')
    assert find_config(name) == Path(name)
    for wrong in ('gradsplit/r50gn_5task.py', '', 'gradsplit', '../setup.py'):
        with pytest.raises(FileNotFoundError, match='no config file'):
            find_config(wrong)


def without_scope(value: Any) -> Any:
    """A config without the scope that mmengine gives the parts of a package's config."""
    if isinstance(value, dict):
        return {
            key: without_scope(each)
            for key, each in value.items()
            if (key, each) != ('_scope_', 'mmgradsplit')
        }
    return [without_scope(each) for each in value] if isinstance(value, list | tuple) else value


@pytest.mark.parametrize('name', SOME)
def test_a_config_of_one_s_own_inherits_by_name(name: str, tmp_path: Path) -> None:
    mine = tmp_path / 'mine.py'
    mine.write_text(f"_base_ = 'mmgradsplit::{name}'\n")
    inherited, own = (prepare(config, 'work_dir').to_dict() for config in (mine, name))
    assert without_scope(inherited) == without_scope(own)


# ---- the wheel ----


@pytest.fixture(scope='module')
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the wheel was unpacked, which is how pure Python is installed."""
    folder = tmp_path_factory.mktemp('wheel')
    files = subprocess.run(
        ['git', 'ls-files', '-z', '--cached', '--others', '--exclude-standard'],
        cwd=ROOT, capture_output=True, text=True,
    ).stdout.split('\0')  # fmt: skip
    if not files[0]:
        pytest.skip('no git repository: which files belong to the project is not known')
    for name in filter(None, files):
        target = folder / 'source' / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_symlink():
            target.symlink_to(os.readlink(ROOT / name))
        elif (ROOT / name).is_file():
            target.write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, '-m', 'build', '--no-isolation', '--outdir', folder, '.']
    built = subprocess.run(command, cwd=folder / 'source', capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    (wheel,) = folder.glob('*.whl')
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / 'site')
    return folder / 'site'


def test_a_wheel_holds_configs_tools_and_data_files(installed: Path) -> None:
    package = installed / 'mmgradsplit'
    assert not (package / '.mim/configs').is_symlink()
    for path in ROOT.glob('configs/**/*'):
        if path.suffix in ('.py', '.json', '.yml'):
            assert (package / '.mim' / path.relative_to(ROOT)).read_bytes() == path.read_bytes()
    for path in ROOT.glob('tools/**/*.[ps][yh]'):
        assert (package / '.mim' / path.relative_to(ROOT)).is_file()
    for path in ROOT.glob('mmgradsplit/**/*.json'):
        assert (installed / path.relative_to(ROOT)).is_file()
    assert (package / '.mim/model-index.yml').is_file()
    (found,) = metadata.distributions(path=[str(installed)])
    (entry,) = found.entry_points
    assert (found.version, entry.name, entry.value) == (
        __version__, 'mmgradsplit', 'mmgradsplit.cli:main'
    )  # fmt: skip


def test_an_installed_wheel_trains_outside_the_repository(installed: Path, tmp_path: Path) -> None:
    make_pedestrians(tmp_path / 'data/pedestrians', **SIZES)
    config = tmp_path / 'mine.py'
    config.write_text(
        "_base_ = 'mmgradsplit::gradsplit/r18gn_4task_demo.py'\n"
        "tasks = ['attribute', 'pose']\n"
        'train_cfg = dict(max_epochs=1, iters_per_epoch=2)\n'
        'custom_hooks = []\n'
    )
    environment = dict(os.environ, PYTHONPATH=str(installed), OMP_NUM_THREADS='1')
    run = [sys.executable, '-m', 'mmgradsplit', 'train', config, '--work-dir', 'run']
    options = ['--no-validate', '--method', 'pcgrad']
    result = subprocess.run(
        [*run, *options], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr[-2000:]
    assert (tmp_path / 'run/epoch_1.pth').is_file()
    where = 'import mmgradsplit; print(mmgradsplit.__file__)'
    found = subprocess.run(
        [sys.executable, '-c', where], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert found.stdout.startswith(str(installed))
