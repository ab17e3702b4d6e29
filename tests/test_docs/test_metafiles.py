"""model-index.yml and the metafiles: every config, what it costs, and the papers' figures."""

import re
import runpy
from collections import Counter
from pathlib import Path

import modelindex
import pytest
import yaml
from fixtures_docs import ROOT, undrawn
from mmengine.config import Config
from mmengine.config.utils import _get_cfg_metainfo
from mmengine.registry import init_default_scope

from mmgradsplit.analysis import measure_complexity
from mmgradsplit.apis.preparation import prepare
from mmgradsplit.registry import MODELS

INDEX = yaml.safe_load((ROOT / 'model-index.yml').read_text())
FILES = {name: yaml.safe_load((ROOT / name).read_text()) for name in INDEX['Import']}
ENTRIES = {of['Config']: of for content in FILES.values() for of in content['Models']}
RUNNABLE = [
    str(path.relative_to(ROOT))
    for path in sorted(ROOT.glob('configs/**/*.py'))
    if '_base_' not in path.parts
]
ROWS = [line for line in (ROOT / 'configs/README.md').read_text().splitlines() if '|' in line]


def test_every_config_is_in_its_folder_s_metafile_once() -> None:
    named = Counter(of['Config'] for content in FILES.values() for of in content['Models'])
    assert named == Counter(RUNNABLE)
    for name, content in FILES.items():
        assert {str(Path(of['Config']).parent) for of in content['Models']} == {
            str(Path(name).parent)
        }
    assert {str(path.relative_to(ROOT)) for path in ROOT.glob('configs/*/metafile.yml')} == set(
        FILES
    )


def test_the_model_index_is_well_formed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)  # its paths are relative to the repository
    index = modelindex.load('model-index.yml')
    index.check()
    assert not index.check_errors
    assert len(list(index.models)) == len(RUNNABLE) == len({of.name for of in index.models})
    papers = {of.name for of in index.collections}
    assert papers == {'GradSplit', 'STA', 'AMTL'}
    assert {of.in_collection for of in index.models} == papers


def test_mmengine_finds_the_configs(tmp_path: Path) -> None:
    (tmp_path / '.mim').mkdir()
    for name in ('configs', 'model-index.yml'):
        (tmp_path / '.mim' / name).symlink_to(ROOT / name)
    found = _get_cfg_metainfo(str(tmp_path), 'gradsplit/r50gn_4task.py')
    assert found['Metadata']['Parameters'] == 51651693


def test_results_are_those_of_the_tables() -> None:
    """As the tool reads them, and each figure in a row that names the config."""
    tool = runpy.run_path(str(ROOT / 'tools/make_metafiles.py'))
    published = tool['published']((ROOT / 'configs/README.md').read_text())
    assert {f'configs/{name}' for name in published} <= set(RUNNABLE)
    for config, entry in ENTRIES.items():
        name = config.removeprefix('configs/')
        figures = published.get(name, [])
        results = tool['results'](prepare(ROOT / config), figures) if figures else None
        assert entry.get('Results') == results, f'{config}: call tools/make_metafiles.py'
        rows = [row for row in ROWS if f'`{name}`' in row]
        numbers = {float(word) for row in rows for word in re.findall(r'[-+]?\d+\.\d+', row)}
        metrics = [of['Metrics'] for of in entry.get('Results', [])]
        assert {value for of in metrics for value in of.values()} <= numbers, config
    best = ENTRIES['configs/gradsplit/r50gn_4task.py']['Results']
    assert {of['Task']: of['Metrics'] for of in best} == {
        'Person Re-Identification': {'mAP': 80.1},
        'Pedestrian Attribute Recognition': {'MA': 77.8},
        'Body 2D Keypoint': {'mean PCKh': 86.4},
        'Human Parsing': {'mIoU': 43.9},
        'Multi-Task Learning': {'delta_m': -1.8},
    }
    assert sum('Results' in entry for entry in ENTRIES.values()) > 25


def test_parameters_are_those_of_the_networks() -> None:
    built: dict[str, int] = {}

    def count(cfg: Config) -> int:
        key = repr(cfg.model)
        if key not in built:
            init_default_scope(cfg.default_scope)
            built[key] = sum(of.numel() for of in MODELS.build(cfg.model).parameters())
        return built[key]

    with undrawn():
        counted = {config: count(prepare(ROOT / config)) for config in RUNNABLE}
    said = {config: entry['Metadata']['Parameters'] for config, entry in ENTRIES.items()}
    assert said == counted


@pytest.mark.parametrize(
    'config', ['gradsplit/r18gn_4task_demo', 'amtl/uniform_mobilenetv2_deeplabv3plus_nyuv2']
)
def test_flops_are_as_we_count_them(config: str) -> None:
    path = f'configs/{config}.py'
    assert ENTRIES[path]['Metadata']['FLOPs'] == measure_complexity(ROOT / path).macs['']


def test_flops_are_said_but_of_mask_rcnn() -> None:
    lacking = [config for config, entry in ENTRIES.items() if 'FLOPs' not in entry['Metadata']]
    assert lacking == [config for config in RUNNABLE if 'mask_rcnn' in config]
