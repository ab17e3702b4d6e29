"""The attribute and the re-identification head inside mmpretrain's classifier."""

import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import MODELS as ROOT_MODELS
from mmpretrain.structures import DataSample

from mmgradsplit.models.heads import MultiLabelConvHead, ReIDHead

FEATS = (None, torch.rand(4, 16, 6, 3, generator=torch.Generator().manual_seed(0)))


def classifier(head: dict) -> torch.nn.Module:
    return ROOT_MODELS.build(
        dict(
            _scope_='mmpretrain',
            type='ImageClassifier',
            backbone=dict(type='ResNet', depth=18),
            head=head,
        )
    )


def attribute_samples() -> list[DataSample]:
    return [DataSample().set_gt_label(labels) for labels in ([0, 2], [1], [], [0, 1, 2, 3, 4])]


def identity_samples(identities: list[int]) -> list[DataSample]:
    return [DataSample().set_gt_label(i) for i in identities]


def test_attribute_loss_is_the_cross_entropy_of_each_attribute():
    torch.manual_seed(0)
    head = MultiLabelConvHead(in_channels=16, conv_channels=8, num_classes=5)
    target = torch.tensor(
        [[1, 0, 1, 0, 0], [0, 1, 0, 0, 0], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1]], dtype=torch.float
    )
    p = torch.sigmoid(head(FEATS))
    expected = -(target * p.log() + (1 - target) * (1 - p).log()).sum() / len(target)
    losses = head.loss(FEATS, attribute_samples())
    assert set(losses) == {'loss'}
    torch.testing.assert_close(losses['loss'], expected)


def test_attribute_head_is_conv_relu_pool_fc():
    torch.manual_seed(0)
    head = MultiLabelConvHead(in_channels=16, conv_channels=8, num_classes=5)
    conv = head.conv
    hidden = torch.einsum('oi,nihw->nohw', conv.weight[:, :, 0, 0], FEATS[-1])
    hidden = (hidden + conv.bias[:, None, None]).clamp(min=0)
    expected = hidden.mean((2, 3)) @ head.fc.weight.T + head.fc.bias
    torch.testing.assert_close(head(FEATS), expected)


def test_attribute_prediction_gives_a_score_for_each_attribute():
    model = classifier(
        dict(type='mmgradsplit.MultiLabelConvHead', in_channels=512, conv_channels=8, num_classes=5)
    ).eval()
    samples = model.predict(torch.rand(2, 3, 64, 32))
    assert [s.pred_score.shape for s in samples] == [(5,), (5,)]
    assert all(0 <= x <= 1 for s in samples for x in s.pred_score.tolist())


@pytest.mark.parametrize('head', [
    MultiLabelConvHead(in_channels=64, conv_channels=512, num_classes=5),
    ReIDHead(in_channels=64, conv_channels=512, num_classes=5),
])  # fmt: skip
def test_heads_start_from_kaiming(head):
    torch.manual_seed(0)
    head.init_weights()
    assert head.conv.weight.std().item() == pytest.approx((2 / 64) ** 0.5, rel=0.05)
    assert head.fc.weight.std().item() == pytest.approx((2 / 512) ** 0.5, rel=0.05)


def test_reid_classifier_learns_and_predicts_embeddings():
    torch.manual_seed(0)
    model = classifier(
        dict(type='mmgradsplit.ReIDHead', in_channels=512, conv_channels=32, num_classes=3)
    )
    inputs, samples = torch.rand(4, 3, 64, 32), identity_samples([0, 0, 2, 2])
    losses = model.loss(inputs, samples)
    assert set(losses) == {'loss_id', 'loss_triplet'}
    sum(losses.values()).backward()
    assert all(p.grad.isfinite().all() and p.grad.any() for p in model.head.parameters())

    predicted = model.eval().predict(inputs, samples)
    features = model.head.pre_logits(model.backbone(inputs))
    for sample, given, feature in zip(predicted, samples, features, strict=True):
        assert sample is given and sample.gt_label is not None
        torch.testing.assert_close(sample.embedding, feature)
        assert 'pred_score' not in sample
    assert model.predict(inputs)[0].embedding.shape == (32,)


def test_reid_losses_are_those_of_logits_and_embeddings():
    torch.manual_seed(0)
    head = ReIDHead(16, 8, 3, norm_cfg=dict(type='GN', num_groups=2))
    identities = torch.tensor([0, 1, 0, 1])
    losses = head.loss(FEATS, identity_samples(identities.tolist()))
    embedding = head.pre_logits(FEATS)
    torch.testing.assert_close(losses['loss_id'], F.cross_entropy(head(FEATS), identities))
    torch.testing.assert_close(losses['loss_triplet'], head.triplet_loss(embedding, identities))
    assert isinstance(head.norm, torch.nn.GroupNorm)


def test_embedding_of_half_precision_features_is_float32():
    head = ReIDHead(16, 8, 3).eval()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert head.predict(FEATS)[0].embedding.dtype == torch.float32


def test_unknown_identity_names_num_classes():
    head = ReIDHead(16, 8, num_classes=3)
    with pytest.raises(ValueError, match=r'num_classes=3.*identity 3.*num_identities'):
        head.loss(FEATS, identity_samples([0, 1, 2, 3]))
