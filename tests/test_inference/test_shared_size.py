"""The benchmark of one size for all tasks: at their own sizes the metrics are the validation's."""

import importlib
from pathlib import Path
from typing import Any

import pytest
import torch
from fixtures_training import tiny_config, write_data
from mmengine.registry import init_default_scope

from mmgradsplit.apis import evaluate
from mmgradsplit.inference import MultiTaskInferencer
from mmgradsplit.inference.own_size import validation_views
from mmgradsplit.registry import DATASETS, MODELS

ROOT = Path(__file__).parents[2]


def test_own_sizes_give_the_validations_metrics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / 'benchmarks'))
    benchmark: Any = importlib.import_module('shared_size')
    cfg = tiny_config(write_data(tmp_path / 'data'))
    cfg.model.tasks.pose.test_cfg = dict(flip_test=False)
    cfg.test_dataloader, cfg.test_evaluator = cfg.val_dataloader, cfg.val_evaluator
    cfg.test_cfg = dict(type='MultiTaskTestLoop')
    torch.manual_seed(1)
    weights = MODELS.build(cfg.model).state_dict()
    torch.save(dict(state_dict=weights), tmp_path / 'weights.pth')
    expected = evaluate(cfg, tmp_path / 'weights.pth', work_dir=tmp_path / 'run')
    inferencer = MultiTaskInferencer(cfg, tmp_path / 'weights.pth', device='cpu')
    for task in ('attribute', 'reid', 'parsing'):
        measured = benchmark.measure(inferencer, task, 'own')
        assert measured == pytest.approx(
            {name: expected[f'{task}/{name}'] for name in measured}, nan_ok=True
        )
        assert benchmark.measure(inferencer, task, '16x16').keys() == measured.keys()
    # Crops are rounded to whole pixels.
    assert benchmark.measure(inferencer, 'pose', 'own').keys() >= {'PCK'}


@pytest.mark.parametrize('padding', [1.0, 1.25, 1.5])
def test_a_person_is_shown_as_the_validation_shows_it(
    padding: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / 'benchmarks'))
    shared_size: Any = importlib.import_module('shared_size')
    cfg = tiny_config(write_data(tmp_path / 'data'))
    dataset = cfg.val_dataloader.pose.dataset
    for step in dataset.pipeline:
        if step.type.endswith('GetBBoxCenterScale'):
            step.padding = padding
    view = validation_views(cfg)['pose']
    init_default_scope('mmgradsplit')
    sample = DATASETS.build(dataset)[0]['data_samples']
    image, box, _ = shared_size._shown(sample, view.padding)
    height, width = image.shape[:2]
    placed = view.place((width, height), box)
    # All of the cut-out image, whose middle is the middle of the input.
    assert placed.content == pytest.approx(view.size, abs=1)
