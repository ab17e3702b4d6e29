"""MultiTaskModel: whole upstream models over one backbone."""

import copy
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from mmengine import Config
from mmengine.model import ExponentialMovingAverage
from mmengine.registry import MODELS as ROOT_MODELS
from mmengine.structures import InstanceData, PixelData
from mmpose.structures import PoseDataSample
from mmpretrain.structures import DataSample
from mmseg.structures import SegDataSample
from toy import (
    BACKBONE,
    TASKS,
    build_wrapper,
    classifier,
    snapshot,
    task_step,
    toy_batch,
    toy_model,
)

from mmgradsplit.apis.preparation import prepare
from mmgradsplit.models import MultiTaskModel, SharedBackbone
from mmgradsplit.registry import MODELS

ROOT = Path(__file__).parents[2]
PEOPLE = ['attribute', 'reid', 'pose', 'parsing']
SIZE = 64


@pytest.fixture(scope='module')
def people() -> MultiTaskModel:
    """The four tasks of the paper at a tiny size, from the config that users run."""
    cfg = Config.fromfile(str(ROOT / 'configs/gradsplit/r18gn_4task.py'))
    codec = dict(input_size=(SIZE, SIZE), heatmap_size=(SIZE // 4, SIZE // 4), sigma=1)
    cfg.merge_from_dict(
        {
            'model.backbone': dict(
                base_channels=8, stem_channels=8, strides=(1, 2, 2, 2), init_cfg=None
            ),
            'model.backbone.norm_cfg.num_groups': 2,
            'model.tasks.attribute.head': dict(in_channels=64, conv_channels=16),
            'model.tasks.reid.head': dict(in_channels=64, conv_channels=16, num_classes=5),
            'model.tasks.pose.head': dict(
                in_channels=64, deconv_out_channels=(16, 16, 16), decoder=codec
            ),
            'model.tasks.pose.test_cfg.flip_test': False,
            'model.tasks.parsing.decode_head': dict(in_channels=64, channels=16),
            'model.tasks.parsing.data_preprocessor.size': (SIZE, SIZE),
        }
    )
    torch.manual_seed(0)
    return MODELS.build(cfg.model)


def people_batch(task: str, number: int = 4) -> dict:
    """Images of noise with the annotations of one task."""
    inputs = [torch.randint(256, (3, SIZE, SIZE), dtype=torch.uint8) for _ in range(number)]
    samples = []
    for i in range(number):
        if task == 'attribute':
            sample = DataSample().set_gt_label([i, 20])
        elif task == 'reid':
            sample = DataSample().set_gt_label(i // 2)
        elif task == 'pose':
            sample = PoseDataSample(
                metainfo=dict(
                    input_size=(SIZE, SIZE),
                    input_center=torch.tensor([SIZE / 2, SIZE / 2]).numpy(),
                    input_scale=torch.tensor([SIZE, SIZE]).numpy(),
                    flip_indices=list(range(16)),
                )
            )
            sample.gt_fields = PixelData(heatmaps=torch.rand(16, SIZE // 4, SIZE // 4))
            sample.gt_instance_labels = InstanceData(keypoint_weights=torch.ones(1, 16))
            sample.gt_instances = InstanceData(
                bboxes=torch.tensor([[0.0, 0, SIZE, SIZE]]).numpy(),
                bbox_scores=torch.ones(1).numpy(),
            )
        else:
            shape = dict(img_shape=(SIZE, SIZE), ori_shape=(SIZE, SIZE))
            sample = SegDataSample(metainfo=shape)
            sample.gt_sem_seg = PixelData(data=torch.randint(20, (1, SIZE, SIZE)))
        samples.append(sample)
    return dict(task=task, inputs=inputs, data_samples=samples)


class Calls:
    """Counts the passes of a backbone."""

    def __init__(self, model: MultiTaskModel) -> None:
        self.number = 0
        model.backbone.register_forward_hook(self._count)

    def _count(self, *_: object) -> None:
        self.number += 1


LOSSES = {
    'attribute': {'loss'},
    'reid': {'loss', 'loss_id', 'loss_triplet'},
    'pose': {'loss', 'loss_kpt'},
    'parsing': {'loss', 'decode.loss_ce', 'decode.acc_seg'},
}


@pytest.mark.parametrize('task', PEOPLE)
def test_a_task_step_of_each_upstream_model(people, task):
    model = copy.deepcopy(people).train()
    wrapper = build_wrapper(model, optimizer=dict(type='SGD', lr=0.01, weight_decay=0.1))
    before = snapshot(model)
    log = task_step(model, wrapper, people_batch(task))
    assert set(log) == {f'{task}/{name}' for name in LOSSES[task]}
    assert all(torch.isfinite(torch.as_tensor(value)) for value in log.values())
    moved = {
        name for name, value in snapshot(model).items() if not torch.equal(value, before[name])
    }
    owners = {'.'.join(name.split('.')[:2]) for name in moved if name.startswith('tasks.')}
    assert owners == {f'tasks.{task}'}
    assert 'backbone.conv1.weight' in moved


@pytest.mark.parametrize('task', PEOPLE)
def test_a_validation_step_of_each_upstream_model(people, task):
    people.eval()
    batch = people_batch(task)
    for step in (people.val_step, people.test_step):
        with torch.no_grad():
            results = step(copy.deepcopy(batch))
        assert len(results) == 4
        result = results[0]
        if task == 'attribute':
            assert result.pred_score.shape == (26,)
        elif task == 'reid':
            assert result.embedding.shape == (16,)
        elif task == 'pose':
            assert result.pred_instances.keypoints.shape == (1, 16, 2)
        else:
            assert result.pred_sem_seg.data.shape == (1, SIZE, SIZE)


def test_all_tasks_of_an_image_in_one_backbone_pass(people):
    model = copy.deepcopy(people).eval()
    calls = Calls(model)
    inputs = torch.randn(2, 3, SIZE, SIZE)
    samples = {task: people_batch(task, 2)['data_samples'] for task in PEOPLE}
    with torch.no_grad():
        together = model(inputs, copy.deepcopy(samples), mode='predict')
        assert calls.number == 1
        assert list(together) == PEOPLE
        alone = {task: model(inputs, samples[task], 'predict', task) for task in PEOPLE}
    assert calls.number == 1 + len(PEOPLE)
    for one, other in (
        (together['attribute'][1].pred_score, alone['attribute'][1].pred_score),
        (together['reid'][1].embedding, alone['reid'][1].embedding),
        (
            torch.as_tensor(together['pose'][1].pred_instances.keypoints),
            torch.as_tensor(alone['pose'][1].pred_instances.keypoints),
        ),
        (together['parsing'][1].seg_logits.data, alone['parsing'][1].seg_logits.data),
    ):
        assert torch.equal(one, other)


def test_without_samples_all_tasks_return_tensors(people):
    model = copy.deepcopy(people).eval()
    calls = Calls(model)
    with torch.no_grad():
        output = model(torch.randn(2, 3, SIZE, SIZE))
    assert calls.number == 1
    assert output['attribute'].shape == (2, 26)
    assert output['pose'].shape == (2, 16, SIZE // 4, SIZE // 4)
    assert output['parsing'].shape[:2] == (2, 20)


def test_losses_of_all_tasks_share_one_pass_and_its_gradient():
    model = toy_model()
    calls = Calls(model)
    inputs = toy_batch('red', 0)['inputs']
    samples = {task: toy_batch(task, 0)['data_samples'] for task in TASKS}
    joint = model(inputs, samples, mode='loss')
    sum(joint[task]['loss'] for task in TASKS).backward()
    assert calls.number == 1
    grad = model.backbone.conv1.weight.grad.clone()
    model.zero_grad()
    for task in TASKS:
        model(inputs, samples[task], mode='loss', task=task)['loss'].backward()
    torch.testing.assert_close(grad, model.backbone.conv1.weight.grad, rtol=1e-4, atol=1e-6)


def test_features_stand_for_exactly_that_tensor():
    model = toy_model().eval()
    calls = Calls(model)
    inputs = torch.randn(2, 3, 64, 64)
    marker = (torch.randn(2, 64, 2, 2),)
    backbone = model.tasks['red'].backbone
    with model.backbone_pass.hand_out(inputs, marker):
        assert backbone(inputs) is marker
        assert calls.number == 0
        assert backbone(inputs.clone()) is not marker  # equal, but another tensor
        assert backbone(inputs.flip(-1)) is not marker
        assert calls.number == 2
    assert backbone(inputs) is not marker
    with pytest.raises(RuntimeError, match='stop'), model.backbone_pass.hand_out(inputs, marker):
        raise RuntimeError('stop')
    assert backbone(inputs) is not marker


def test_flip_test_passes_the_mirrored_image_through_the_backbone(people):
    model = copy.deepcopy(people).eval()
    pose = model.tasks['pose']
    pose.test_cfg = dict(flip_test=True, flip_mode='heatmap', shift_heatmap=False)
    calls = Calls(model)
    samples = {task: people_batch(task, 1)['data_samples'] for task in PEOPLE}
    with torch.no_grad():
        model(torch.randn(1, 3, SIZE, SIZE), samples, mode='predict')
    assert calls.number == 2


def test_a_task_owns_its_head_and_no_backbone():
    model = toy_model()
    keys = list(model.state_dict())
    for task in TASKS:
        assert set(model.tasks[task].state_dict()) == {'head.fc.weight', 'head.fc.bias'}
        assert isinstance(model.tasks[task].backbone, SharedBackbone)
    heads = [key for key in keys if key.startswith('tasks.')]
    assert len(heads) == 2 * len(TASKS)
    backbone = ROOT_MODELS.build(dict(BACKBONE))
    assert [key for key in keys if key not in heads] == [
        f'backbone.{key}' for key in backbone.state_dict()
    ]


def test_a_task_is_the_upstream_model():
    """The task's weights in a plain model of its toolbox predict the same."""
    model = toy_model().eval()
    upstream = ROOT_MODELS.build(
        dict(classifier(3), _scope_='mmpretrain', backbone=dict(BACKBONE))
    ).eval()
    state = {f'backbone.{key}': value for key, value in model.backbone.state_dict().items()}
    upstream.load_state_dict({**state, **model.tasks['red'].state_dict()}, strict=True)
    inputs = toy_batch('red', 0)['inputs']
    ours = model(inputs, mode='predict', task='red')
    theirs = upstream(inputs, mode='predict')
    for one, other in zip(ours, theirs, strict=True):
        assert torch.equal(one.pred_score, other.pred_score)


def test_copies_use_their_own_backbone():
    model = toy_model().eval()
    inputs = torch.randn(1, 3, 64, 64)
    before = model(inputs, task='red')
    for other in (copy.deepcopy(model), ExponentialMovingAverage(model).module):
        other.eval()
        assert torch.equal(other(inputs, task='red'), before)
        with torch.no_grad():
            for param in other.backbone.parameters():
                param.zero_()
        assert not torch.equal(other(inputs, task='red'), before)
        assert torch.equal(model(inputs, task='red'), before)


def test_all_heads_get_their_upstream_initialisation():
    """LinearClsHead's init_cfg: a normal distribution of deviation 0.01, biases zero."""
    model = toy_model()
    model.init_weights()
    for task in TASKS:
        fc = model.tasks[task].head.fc
        assert not fc.bias.any()
        assert 0.005 < fc.weight.std() < 0.015


def pretrained(monkeypatch, error: Exception, depth: int = 18) -> MultiTaskModel:
    """A model whose backbone's weights are on a server that cannot be reached."""

    def offline(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr('mmengine.runner.checkpoint.load_url', offline)
    init_cfg = dict(type='Pretrained', checkpoint='https://weights.invalid/resnet18.pth')
    return MODELS.build(
        dict(
            type='MultiTaskModel',
            backbone=dict(BACKBONE, depth=depth, init_cfg=init_cfg),
            tasks=dict(red=classifier()),
        )
    )


@pytest.mark.parametrize('error', [URLError('no route'), ConnectionResetError(), TimeoutError()])
def test_offline_the_backbone_starts_from_random_weights_with_a_notice(monkeypatch, error):
    notices = []
    monkeypatch.setattr(
        'mmgradsplit.models.multi_task_model.print_log', lambda text, *_, **__: notices.append(text)
    )
    model = pretrained(monkeypatch, error)
    model.init_weights()
    assert len(notices) == 1
    for word in ('https://weights.invalid/resnet18.pth', 'RANDOM', 'model.backbone.init_cfg'):
        assert word in notices[0]
    # mmpretrain's default for a ResNet: Kaiming's fan-out normal, norms of one.
    weight = model.backbone.layer4[1].conv2.weight
    assert weight.std().item() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.05)
    assert (model.backbone.gn1.weight == 1).all()
    assert not model.tasks['red'].head.fc.bias.any()
    assert model.is_init


def test_nothing_is_left_behind_by_the_initialisation(monkeypatch):
    model = pretrained(monkeypatch, URLError('no route'))
    model.init_weights()
    assert not any(hasattr(module, '_params_init_info') for module in model.modules())


def test_other_errors_of_the_weights_are_not_hidden(monkeypatch):
    model = pretrained(monkeypatch, ValueError('damaged file'))
    with pytest.raises(ValueError, match='damaged file'):
        model.init_weights()


def test_no_task():
    with pytest.raises(ValueError, match=r'model\.tasks is empty'):
        MultiTaskModel(backbone=dict(BACKBONE), tasks={})


@pytest.mark.parametrize('cfg', [None, 'ImageClassifier', {}, dict(head=dict())])
def test_a_task_without_a_models_config(cfg):
    with pytest.raises(ValueError, match=r'model\.tasks\.pose'):
        MultiTaskModel(backbone=dict(BACKBONE), tasks=dict(pose=cfg))


def test_a_task_name_with_a_dot():
    with pytest.raises(ValueError, match=r'model\.tasks.*a\.b'):
        MultiTaskModel(backbone=dict(BACKBONE), tasks={'a.b': classifier()})


def test_a_backbone_in_a_tasks_config_gives_way():
    cfg = dict(classifier(), backbone=dict(type='ResNet', depth=50))
    model = MultiTaskModel(backbone=dict(BACKBONE), tasks=dict(red=cfg))
    assert isinstance(model.tasks['red'].backbone, SharedBackbone)
    assert cfg['backbone'] == dict(type='ResNet', depth=50)


def test_a_shared_backbone_on_its_own():
    with pytest.raises(RuntimeError, match=r'model\.tasks'):
        SharedBackbone()(torch.zeros(1, 3, 8, 8))


def test_an_unknown_task():
    model = toy_model()
    with pytest.raises(KeyError, match=r"'black'.*'red', 'green', 'blue'"):
        model(torch.zeros(1, 3, 64, 64), task='black')
    batch = dict(toy_batch('red', 0), task='black')
    with pytest.raises(KeyError, match=r"'black'.*'red', 'green', 'blue'"):
        model.val_step(batch)


def test_a_batch_without_task():
    batch = toy_batch('red', 0)
    del batch['task']
    with pytest.raises(KeyError, match="needs the key 'task'"):
        toy_model().val_step(batch)


def test_preprocessors_follow_the_model_to_its_device():
    model = toy_model().to('meta')
    assert all(t.data_preprocessor.device.type == 'meta' for t in model.tasks.values())


def test_order_outlives_a_config_written_out() -> None:
    tasks = {'pose': classifier(), 'attribute': classifier()}
    cfg = Config(dict(model=dict(type='MultiTaskModel', backbone=BACKBONE, tasks=tasks)))
    cfg = prepare(cfg, work_dir='anywhere')
    written = Config.fromstring(cfg.pretty_text, '.py')
    assert list(written.model.tasks) == ['attribute', 'pose']  # what mmengine does to it
    assert list(MODELS.build(written.model).tasks) == ['pose', 'attribute']


def test_order_must_name_the_tasks() -> None:
    cfg = dict(type='MultiTaskModel', backbone=BACKBONE, tasks={'pose': classifier()})
    with pytest.raises(ValueError, match=r"model\.order names \['hand'\]"):
        MODELS.build(dict(cfg, order=['hand']))
