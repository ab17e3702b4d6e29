"""A fifth task, mmdet's detector, is one task config and two lines (docs/add_a_task.md)."""

from pathlib import Path

import pytest
import torch
from fixtures_detection import write_coco
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from toy import begin, task_step

from mmgradsplit.apis.preparation import prepare
from mmgradsplit.registry import MODELS

CONFIGS = Path(__file__).resolve().parent.parent / 'configs'


def with_two_lines_more(folder: Path) -> Config:
    """The four-task config with the two lines of the docs, elsewhere on the disk."""
    text = (CONFIGS / 'gradsplit/r50gn_4task.py').read_text()
    for line, more in (
        ("    '../_base_/tasks/parsing.py',\n", "    '../_base_/tasks/detection.py',\n"),
        ("tasks = ['attribute', 'reid', 'pose', 'parsing'", ", 'detection'"),
    ):
        assert text.count(line) == 1
        text = text.replace(line, line + more)
    text = text.replace("'../_base_", f"'{CONFIGS}/_base_")
    text = text.replace('{{ fileDirname }}/..', str(CONFIGS))
    file = folder / 'five.py'
    file.write_text(text)
    return prepare(file)


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    return write_coco(tmp_path, 'person')


def test_a_detector_is_a_fifth_task(coco: Path) -> None:
    cfg = with_two_lines_more(coco)
    init_default_scope('mmgradsplit')
    cfg.model.backbone.update(depth=18, base_channels=16, stem_channels=16, init_cfg=None)
    cfg.model.backbone.norm_cfg.num_groups = 4
    cfg.model.tasks.detection.neck.in_channels = [16, 32, 64, 128]
    cfg.model.tasks.detection.test_cfg.score_thr = 0.0  # without any box there is no metric
    model = MODELS.build(cfg.model)
    model.init_weights()
    assert list(model.tasks) == ['attribute', 'reid', 'pose', 'parsing', 'detection']

    # The published relations do not know it, and are not guessed.
    with pytest.raises(ValueError, match=r"no number for 'attribute -> detection'"):
        build_optim_wrapper(model, cfg.optim_wrapper)
    cfg.optim_wrapper.relations = 'none'
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)

    for loader in (cfg.train_dataloader.detection, cfg.val_dataloader.detection):
        loader.update(batch_size=4, num_workers=0)
        dataset = dict(data_root=str(coco), ann_file='coco.json', data_prefix=dict(img='images/'))
        loader.dataset.update(dataset)
        for transform in loader.dataset.pipeline:
            if transform['type'] == 'Resize':
                transform['scale'] = (128, 128)
    layer4 = model.backbone.layer4[0].conv1.weight
    before = layer4.detach().clone()
    batch = next(iter(Runner.build_dataloader(cfg.train_dataloader.detection, seed=0)))
    begin(model, wrapper)
    step = dict(batch, task='detection')
    losses = [float(task_step(model, wrapper, step)['detection/loss']) for _ in range(20)]
    assert losses[-1] < 0.8 * losses[0]
    # 128 filters among five tasks: the last group of 25 is its own, 3 filters are everybody's.
    moved = (layer4 != before).flatten(1).any(1).nonzero().flatten().tolist()
    assert moved == list(range(100, 128))

    val = Runner.build_dataloader(cfg.val_dataloader.detection)
    metric = cfg.val_evaluator.detection
    metric.ann_file = str(coco / 'coco.json')
    evaluator = Runner.build_evaluator(None, metric)
    evaluator.dataset_meta = val.dataset.metainfo
    model.eval()
    with torch.no_grad():
        for batch in val:
            evaluator.process(model.val_step(dict(batch, task='detection')), batch)
    assert 'coco/bbox_mAP' in evaluator.evaluate(len(val.dataset))
