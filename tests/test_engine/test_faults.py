"""Each fault of a config or of data: an error before the first step that says what to mend."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from fixtures_training import ALL, build, fails_before_the_first_step, tiny_config, write_data
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper, OptimWrapperDict

from mmgradsplit.registry import MODELS

RELATIONS = [[0.0, -0.1], [0.1, 0.0]]


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp('data'))


@MODELS.register_module(force=True)
class SingleTaskModel(BaseModel):
    """Not a multi-task model."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def forward(self, inputs: torch.Tensor, mode: str = 'tensor') -> None:
        raise AssertionError('no step was to be taken')


# What is wrong with the config of attribute and parsing, the error, and what it must say.
CONFIGS: dict[str, tuple[Callable[[Config], object], type[Exception], str]] = {
    'no dataloader for training': (
        lambda c: c.train_dataloader.pop('parsing'),
        ValueError,
        r"train_dataloader must have an entry .*missing \['parsing'\], unknown \[\]",
    ),
    'no dataloader for validation': (
        lambda c: c.val_dataloader.pop('parsing'),
        ValueError,
        r"val_dataloader must have an entry .*missing \['parsing'\]",
    ),
    'no evaluator': (
        lambda c: c.val_evaluator.pop('attribute'),
        ValueError,
        r"val_evaluator must have an entry .*missing \['attribute'\]",
    ),
    'unknown task': (
        lambda c: c.train_dataloader.update(depth=c.train_dataloader.parsing),
        ValueError,
        r"train_dataloader .*\['attribute', 'parsing'\].*unknown \['depth'\]",
    ),
    'a dataloader that is not by task': (
        lambda c: setattr(c, 'train_dataloader', [1]),
        ValueError,
        'train_dataloader must be a dict',
    ),
    'no folder': (
        lambda c: c.train_dataloader.parsing.dataset.update(data_root='nowhere/lip'),
        FileNotFoundError,
        r"train_dataloader\.parsing\.dataset\.data_root: no folder 'nowhere/lip'.*set the key",
    ),
    'no folder for validation': (
        lambda c: c.val_dataloader.parsing.dataset.update(data_root='nowhere/lip'),
        FileNotFoundError,
        r"val_dataloader\.parsing\.dataset\.data_root: no folder 'nowhere/lip'",
    ),
    'no annotation file': (
        lambda c: c.train_dataloader.attribute.dataset.update(ann_file='other.mat'),
        FileNotFoundError,
        r'no annotation file .*other\.mat.*ann_file',
    ),
    'no relation file': (
        lambda c: c.optim_wrapper.update(relations='nowhere.json'),
        FileNotFoundError,
        r"optim_wrapper\.relations: no file 'nowhere\.json'",
    ),
    'relations of another shape': (
        lambda c: c.optim_wrapper.update(relations=[[0.0] * 3] * 3),
        ValueError,
        r'optim_wrapper\.relations: .*\(2, 2\), got \(3, 3\)',
    ),
    'relations in another order': (
        lambda c: c.optim_wrapper.update(
            relations=dict(tasks=['parsing', 'attribute'], changes=RELATIONS)
        ),
        ValueError,
        r"optim_wrapper\.relations.*\['parsing', 'attribute'\].*\['attribute', 'parsing'\]",
    ),
    'a relation is NaN': (
        lambda c: c.optim_wrapper.update(relations=[[0.0, float('nan')], [0.1, 0.0]]),
        ValueError,
        r'optim_wrapper\.relations: the relation attribute -> parsing is NaN; measure it again',
    ),
    'modules that match nothing': (
        lambda c: c.optim_wrapper.update(modules=['layer5']),
        ValueError,
        r"optim_wrapper\.modules: 'layer5' matches no module .*'layer4'",
    ),
    'a share that is none': (
        lambda c: c.optim_wrapper.update(drop_grad=None),
        ValueError,
        r'optim_wrapper\.drop_grad is a share in \[0, 1\), got None',
    ),
    'neither split nor not': (
        lambda c: c.optim_wrapper.update(split_norm=[]),
        ValueError,
        r'optim_wrapper\.split_norm must be True or False, got \[\]',
    ),
    'a backbone that is none': (
        lambda c: c.model.update(backbone=-1.5),
        ValueError,
        r'model\.backbone must be a config \(a dict\), got -1\.5',
    ),
    'no major iteration': (
        lambda c: c.train_cfg.update(iters_per_epoch=0),
        ValueError,
        r'train_cfg\.iters_per_epoch must be a whole number of at least 1, got 0',
    ),
    'references of another task': (
        lambda c: c.val_cfg.update(references={'attribute/MA': 70.0, 'pose/PCK': 80.0}),
        ValueError,
        r"references must name one metric of each task \['attribute', 'parsing'\]",
    ),
    'a batch larger than the data set': (
        lambda c: c.train_dataloader.parsing.update(batch_size=13, drop_last=True),
        ValueError,
        r"task 'parsing'.*drop_last=True, train_dataloader\.parsing\.batch_size must not exceed",
    ),
}  # fmt: skip


@pytest.mark.parametrize('name', CONFIGS)
def test_config(data: Path, tmp_path: Path, name: str) -> None:
    damage, error, message = CONFIGS[name]
    cfg = tiny_config(data, ('attribute', 'parsing'))
    damage(cfg)
    fails_before_the_first_step(cfg, tmp_path, error, message)


@pytest.mark.parametrize('size', ['input_size', 'heatmap_size'])
def test_keypoints_are_decoded_as_they_are_encoded(data: Path, tmp_path: Path, size: str) -> None:
    """Another size would scale all keypoints, and the PCK would be wrong without a word."""
    cfg = tiny_config(data, ('pose',))
    decoder = cfg.model.tasks.pose.head.decoder
    decoder[size] = tuple(2 * length for length in decoder[size])
    message = rf'tasks\.pose\.head\.decoder\.{size} is .*encoded with .*give both the same codec'
    fails_before_the_first_step(cfg, tmp_path, ValueError, message)


def test_fewer_filters_than_tasks(data: Path, tmp_path: Path) -> None:
    cfg = tiny_config(data, ALL)
    cfg.model.backbone.update(base_channels=2, stem_channels=2)
    cfg.optim_wrapper.modules = ['layer1']
    fails_before_the_first_step(
        cfg, tmp_path, ValueError,
        r"optim_wrapper\.modules: 'layer1\.0\.conv1' has 2 filters, fewer than the 4 tasks",
    )  # fmt: skip


@pytest.mark.parametrize('train', [True, False])
def test_a_model_without_tasks(data: Path, tmp_path: Path, train: bool) -> None:
    cfg = tiny_config(data, ('attribute', 'parsing'))
    cfg.model = dict(type='SingleTaskModel')
    runner = build(cfg, tmp_path)
    with pytest.raises(ValueError, match=r"is a SingleTaskModel.*|.* is 'SingleTaskModel'"):
        runner.train() if train else runner.val()


def test_empty_data_set(tmp_path: Path) -> None:
    cfg = tiny_config(write_data(tmp_path / 'data'), ('attribute', 'parsing'))
    for folder in ('train_images', 'train_labels'):
        for path in (tmp_path / 'data/parsing' / folder).iterdir():
            path.unlink()
    fails_before_the_first_step(
        cfg,
        tmp_path,
        ValueError,
        r'train_dataloader\.parsing\.dataset has no samples; check',
    )


class Nothing(torch.utils.data.Dataset):
    def __len__(self) -> int:
        return 0

    def __getitem__(self, index: int) -> None:
        raise IndexError(index)


def test_an_empty_data_set_that_is_given_as_an_object(data: Path, tmp_path: Path) -> None:
    cfg = tiny_config(data, ('attribute', 'parsing'))
    runner = build(cfg, tmp_path)
    loaders = {task: dict(loader) for task, loader in cfg.train_dataloader.items()}
    loaders['parsing']['dataset'] = Nothing()
    runner._train_dataloader = loaders
    with pytest.raises(ValueError, match=r"task 'parsing': its data set \(Nothing\) has no samp"):
        runner.train()


@pytest.mark.parametrize('split', ['train', 'val'])
def test_missing_label_map(tmp_path: Path, split: str) -> None:
    cfg = tiny_config(write_data(tmp_path / 'data'), ('attribute', 'parsing'))
    missing = tmp_path / f'data/parsing/{split}_labels/11.png'
    missing.unlink()
    image = tmp_path / f'data/parsing/{split}_images/11.png'
    fails_before_the_first_step(
        cfg, tmp_path, FileNotFoundError,
        rf"{split}_dataloader\.parsing: no annotation file '{re.escape(str(missing))}' for the "
        rf"image '{re.escape(str(image))}'",
    )  # fmt: skip


@pytest.mark.parametrize('num_workers', [0, 1])
@pytest.mark.parametrize('task', ['attribute', 'pose', 'parsing'])
def test_unreadable_image(tmp_path: Path, task: str, num_workers: int) -> None:
    cfg = tiny_config(write_data(tmp_path / 'data'), (task,), num_workers=num_workers)
    cfg.train_dataloader[task].sampler = dict(type='DefaultSampler', shuffle=False)
    image = tmp_path / 'data' / task / {
        'attribute': 'release_data/release_data/train_2.png',
        'pose': 'images/1002.png',
        'parsing': 'train_images/10.png',  # the third by name
    }[task]  # fmt: skip
    image.write_bytes(image.read_bytes()[:40])
    runner = build(cfg, tmp_path)
    message = rf"task '{task}': sample 2 \({re.escape(str(image))}\) cannot be read"
    with pytest.raises(ValueError, match=message):
        runner.train()


def test_unreadable_image_of_validation(tmp_path: Path) -> None:
    cfg = tiny_config(write_data(tmp_path / 'data'), ('attribute',))
    image = tmp_path / 'data/attribute/release_data/release_data/test_7.png'
    image.write_bytes(b'')
    message = rf"task 'attribute': sample 7 \({re.escape(str(image))}\) cannot be read"
    with pytest.raises(ValueError, match=message):
        build(cfg, tmp_path).val()


def test_a_loss_that_is_not_finite_goes_before_the_error_of_a_later_step(
    data: Path, tmp_path: Path
) -> None:
    runner = build(tiny_config(data, ('reid', 'parsing')), tmp_path)
    first, second = runner.model.tasks['reid'].head, runner.model.tasks['parsing'].decode_head
    whole, plain = first.loss, second.loss

    def loss(feats: tuple, samples: list, *args: object) -> dict:
        return {name: value * float('nan') for name, value in whole(feats, samples, *args).items()}

    def fails(*args: object) -> dict:
        if torch.is_grad_enabled():  # not in the rehearsal
            raise RuntimeError('of weights that are not finite')
        return plain(*args)

    first.loss, second.loss = loss, fails
    with pytest.raises(FloatingPointError, match="task 'reid', iteration 0"):
        runner.train()


@pytest.mark.parametrize('value', [float('nan'), float('inf'), -float('inf')])
@pytest.mark.parametrize('task', ['reid', 'parsing'])
def test_loss_that_is_not_finite(data: Path, tmp_path: Path, task: str, value: float) -> None:
    cfg = tiny_config(data, ('reid', 'parsing'))
    runner = build(cfg, tmp_path)
    model = runner.model.tasks[task]
    head = model.head if task == 'reid' else model.decode_head
    name = 'loss_id' if task == 'reid' else 'decode.loss_ce'
    whole, seen = head.loss, []

    def loss(feats: tuple, samples: list, *args: object) -> dict:
        seen.append([sample.img_path for sample in samples])
        losses = whole(feats, samples, *args)
        if len(seen) == 4:  # the rehearsal is the first
            key = name.rpartition('.')[2]
            losses[key] = losses[key] * 0 + value
        return losses

    head.loss = loss
    with pytest.raises(FloatingPointError) as caught:
        runner.train()
    text = str(caught.value)
    assert f"task '{task}', iteration 2:" in text
    assert name in text
    assert 'optim_wrapper.optimizer.lr' in text
    assert len(seen) == 4
    for path in seen[3]:
        assert path in text


def test_task_without_an_optimizer(data: Path, tmp_path: Path) -> None:
    runner = build(tiny_config(data, ('attribute', 'parsing')), tmp_path)
    optimizer = torch.optim.SGD(runner.model.parameters(), lr=0.1)
    runner.optim_wrapper = OptimWrapperDict(attribute=OptimWrapper(optimizer))
    with pytest.raises(ValueError, match=r"optim_wrapper has no wrapper for the tasks \['parsing"):
        runner.train()
