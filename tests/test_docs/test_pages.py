"""What the pages show besides commands: Python, configs, the rooms of the package, the version."""

import ast
import re
from pathlib import Path

import pytest
import torch
import yaml
from fixtures_docs import ROOT, SECTIONS, Section, undrawn, write_project
from mmengine.registry import init_default_scope

from mmgradsplit import __version__
from mmgradsplit.apis.preparation import prepare
from mmgradsplit.registry import MODELS

SNIPPETS = [(section, block) for section in SECTIONS for block in section.blocks('python')]
CONFIGS = sorted(
    match[1]
    for _, block in SNIPPETS
    if '\n_base_ = ' in block and (match := re.match(r'# (my_project/\S+)\n', block))
)
# Rooms that nobody imports from outside the project.
INSIDE = {'utils', 'cli', 'compat'}


@pytest.mark.parametrize(('section', 'snippet'), SNIPPETS, ids=str)
def test_python_compiles(section: Section, snippet: str) -> None:
    ast.parse(snippet)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path / 'my_project'))
    return tmp_path


@pytest.mark.parametrize('config', CONFIGS)
def test_an_example_builds_its_network(config: str, project: Path) -> None:
    """Its files are imported, and its types are found."""
    cfg = prepare(config)
    init_default_scope(cfg.default_scope)
    with undrawn():
        model = MODELS.build(cfg.model)
    assert list(model.tasks) == cfg.tasks


def test_a_backbone_begins_with_the_weights_of_a_file(project: Path) -> None:
    cfg = prepare('my_project/from_file.py')
    init_default_scope(cfg.default_scope)
    published = MODELS.build(dict(cfg.model.backbone, init_cfg=None)).state_dict()
    weights = {f'backbone.{name}': torch.randn(of.shape) for name, of in published.items()}
    torch.save(dict(state_dict=weights), 'my_project/classifier.pth')
    model = MODELS.build(cfg.model)
    model.init_weights()
    begun = model.backbone.state_dict()
    assert begun.keys() == published.keys()
    assert all(torch.equal(begun[name], weights[f'backbone.{name}']) for name in begun)


def test_the_screen_of_a_training_is_the_demo_s() -> None:
    (section,) = (of for of in SECTIONS if of.heading == 'The screen of a training')
    (screen,) = section.blocks('text')
    cfg = prepare('gradsplit/r18gn_4task_demo.py')
    init_default_scope(cfg.default_scope)
    with undrawn():
        model = MODELS.build(cfg.model)
    sizes = {name: of.numel() for name, of in model.named_parameters()}
    backbone = sum(size for name, size in sizes.items() if name.startswith('backbone.'))
    assert f'{sum(sizes.values()):,} parameters; ResNet {backbone:,}, ' in screen
    assert f', lr {cfg.optim_wrapper.optimizer.lr}\n' in screen
    for task, loader in cfg.train_dataloader.items():
        row = next(line for line in screen.splitlines() if line.startswith(f'| {task} '))
        assert row.split('|')[4].strip() == str(loader.batch_size)


def test_every_room_has_a_page() -> None:
    rooms = {path.parent.name for path in (ROOT / 'mmgradsplit').glob('*/__init__.py')}
    pages = {path.stem for path in (ROOT / 'docs/api').glob('*.md')} - {'index'}
    assert pages == (rooms | {'registry'}) - INSIDE
    for page in pages:
        text = (ROOT / f'docs/api/{page}.md').read_text()
        assert f'.. automodule:: mmgradsplit.{page}\n' in text


def test_the_version_is_said_everywhere() -> None:
    citation = yaml.safe_load((ROOT / 'CITATION.cff').read_text())
    assert citation['version'] == __version__
    assert len(citation['references']) == 3
    for work in (citation, *citation['references']):
        assert work['title'] and work['authors']
    changelog = (ROOT / 'CHANGELOG.md').read_text()
    assert re.findall(r'^## \[?([\d.]+)', changelog, re.MULTILINE)[0] == __version__
