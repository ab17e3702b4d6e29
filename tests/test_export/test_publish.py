"""What is published holds the network, and nothing that has to be unpickled."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from fixtures_training import load, run, tiny_config, write_data
from mmengine.config import Config
from mmengine.runner import CheckpointLoader

from mmgradsplit.apis import evaluate, load_model
from mmgradsplit.cli import main
from mmgradsplit.export import export_task, publish
from mmgradsplit.utils import read_checkpoint
from mmgradsplit.utils.safetensors_files import save_safetensors


@pytest.fixture(scope='module')
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint, with the summary of its run beside it."""
    folder = tmp_path_factory.mktemp('trained')
    data = write_data(folder / 'data')
    run(
        tiny_config(
            data, ('attribute', 'pose'),
            custom_hooks=[dict(type='SummaryHook', untrained=False)],
            train_cfg__max_epochs=1,
        ),
        folder / 'run',
    )  # fmt: skip
    return folder / 'run/epoch_1.pth'


def test_what_is_kept_comes_back_as_it_was(tmp_path: Path) -> None:
    meta = dict(
        names=('a', 'b'), by_number={0: 'x', 1: [None, True, 2.5]}, text="it's",
        array=np.array([[1, 2], [3, 4]], np.uint8), sigma=np.float32(0.1),
    )  # fmt: skip
    weights = dict(a=torch.randn(3, 2).T, b=torch.tensor(7))
    save_safetensors(weights, meta, tmp_path / 'w.safetensors')
    content = read_checkpoint(tmp_path / 'w.safetensors')
    assert {*content['state_dict']} == {'a', 'b'}
    assert all(torch.equal(content['state_dict'][key], value) for key, value in weights.items())
    back = content['meta']
    array = back.pop('array')
    assert array.dtype == np.uint8 and (array == meta.pop('array')).all()
    assert float(back.pop('sigma')) == pytest.approx(float(meta.pop('sigma')))
    assert {key: back[key] for key in meta} == meta


@pytest.mark.parametrize('kind', ['safetensors', 'pth'])
def test_every_use_of_a_checkpoint_takes_it(trained: Path, tmp_path: Path, kind: str) -> None:
    weights, card = publish(trained, tmp_path / 'out', kind=kind, name='mine')
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()[:8]
    assert weights.name == f'mine-{digest}.{kind}' and card.name == f'mine-{digest}.md'
    assert {path.name for path in (tmp_path / 'out').iterdir()} == {weights.name, card.name}
    if kind == 'pth':
        content = torch.load(weights, weights_only=True)
    else:
        content = CheckpointLoader.load_checkpoint(str(weights), map_location='cpu')
    assert {*content} == {'state_dict', 'meta'}
    before = load(trained)
    assert all(torch.equal(content['state_dict'][k], v) for k, v in before['state_dict'].items())
    assert 'work_dir' not in content['meta']['cfg']

    # Without naming a config, and with one.
    image = torch.randn(2, 3, 64, 64)
    ours, theirs = (load_model(None, file, 'cpu') for file in (weights, trained))
    with torch.no_grad():
        assert torch.equal(ours(image)['attribute'], theirs(image)['attribute'])
    flips = [each.dataset_meta['pose']['flip_indices'] for each in (ours, theirs)]
    assert list(flips[0]) == list(flips[1])
    cfg = load_model(None, trained, 'cpu').cfg
    cfg.test_dataloader, cfg.test_evaluator = cfg.val_dataloader, cfg.val_evaluator
    cfg.test_cfg = cfg.val_cfg
    measured = evaluate(cfg, weights, work_dir=tmp_path / 'test')
    assert content['meta']['metrics'] == {
        key: pytest.approx(value) for key, value in measured.items()
    }
    assert export_task(weights, 'pose', tmp_path / 'plain').config.is_file()


def test_the_card_says_what_the_network_is(trained: Path, tmp_path: Path) -> None:
    metrics = tmp_path / 'metrics.json'
    metrics.write_text(json.dumps({'attribute/MA': 61.25, 'pose/PCK': 12.5, 'delta_m': -3.0}))
    main(['publish', str(trained), '--to', str(tmp_path / 'out'), '--metrics', str(metrics)])
    (card,) = (tmp_path / 'out').glob('*.md')
    text = card.read_text()
    row = next(line for line in text.splitlines() if line.startswith('| attribute'))
    assert (
        'MA 61.25' in row and 'mmpretrain' in row and 'hat, bag, skirt' in row and 'PCK' not in row
    )
    assert 'PCK 12.50' in text and 'right_ankle' in text
    assert 'surveillance' in text and 'privacy' in text
    (weights,) = (tmp_path / 'out').glob('*.safetensors')
    assert weights.name in text and weights.stem == card.stem


def test_mistakes_are_said_and_nothing_is_overwritten(trained: Path, tmp_path: Path) -> None:
    first = publish(trained, tmp_path / 'out', name='mine')
    with pytest.raises(FileExistsError, match='is there already'):
        publish(trained, tmp_path / 'out', name='mine')
    assert {*(tmp_path / 'out').iterdir()} == {*first}
    with pytest.raises(FileNotFoundError, match='no checkpoint'):
        publish(tmp_path / 'none.pth', tmp_path / 'out')
    with pytest.raises(FileNotFoundError, match=r'--metrics: no file'):
        publish(trained, tmp_path / 'out', metrics=tmp_path / 'none.json')
    with pytest.raises(ValueError, match='--format must be one of'):
        publish(trained, tmp_path / 'out', kind='onnx')
    for text in ('no JSON', '[1, 2]'):
        (tmp_path / 'metrics.json').write_text(text)
        with pytest.raises(ValueError, match=r"--metrics: '.*metrics\.json' is no JSON file of"):
            publish(trained, tmp_path / 'out', metrics=tmp_path / 'metrics.json')


def test_where_the_weights_started_is_not_told(trained: Path, tmp_path: Path) -> None:
    content = load(trained)
    cfg = Config.fromstring(content['meta']['cfg'], '.py')
    local = str(tmp_path / 'secret.pth')
    cfg.custom_hooks = [*cfg.custom_hooks, dict(type='StartWeightsHook', files=dict(pose=local))]
    cfg.model.backbone.init_cfg = dict(type='Pretrained', checkpoint=local)
    of_hub = dict(type='Pretrained', checkpoint='torchvision://resnet18')
    cfg.model.tasks.pose.head.init_cfg = [of_hub, dict(type='Pretrained', checkpoint=local)]
    content['meta']['cfg'] = cfg.pretty_text
    torch.save(content, tmp_path / 'started.pth')
    weights, _ = publish(tmp_path / 'started.pth', tmp_path / 'out', kind='pth')
    text = torch.load(weights, weights_only=True)['meta']['cfg']
    assert 'secret.pth' not in text and 'torchvision://resnet18' in text and 'SummaryHook' in text
