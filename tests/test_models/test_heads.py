"""The attribute and the re-identification head inside mmpretrain's classifier; the parsing head."""

import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import MODELS as ROOT_MODELS
from mmpretrain.structures import DataSample
from mmseg.models.decode_heads import PSPHead

from mmgradsplit.models.heads import MultiLabelConvHead, ReducedPSPHead, ReIDHead

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


def test_reid_convolution_of_3_by_3_sees_the_neighbours():
    torch.manual_seed(0)
    head = ReIDHead(16, 8, 3, kernel_size=3).eval()
    padded = F.pad(FEATS[-1], (1, 1, 1, 1))
    patches = padded.unfold(2, 3, 1).unfold(3, 3, 1)  # [N x C x H x W x 3 x 3]
    hidden = torch.einsum('oikl,nihwkl->nohw', head.conv.weight, patches)
    scale = (head.norm.running_var + head.norm.eps).sqrt()
    expected = (hidden / scale[:, None, None]).clamp(min=0).mean((2, 3))
    torch.testing.assert_close(head.pre_logits(FEATS), expected)


def test_reduced_psp_head_is_a_psp_head_on_a_reduced_feature_map():
    torch.manual_seed(0)
    head = ReducedPSPHead(in_channels=16, channels=4, num_classes=3, norm_cfg=dict(type='BN'))
    plain = PSPHead(in_channels=4, channels=4, num_classes=3, norm_cfg=dict(type='BN'))
    head.init_weights()
    assert plain.load_state_dict(head.state_dict(), strict=False).missing_keys == []
    head.eval(), plain.eval()
    weight = head.reduction.conv.weight[:, :, 0, 0]
    reduced = torch.einsum('oi,nihw->nohw', weight, FEATS[-1]).clamp(min=0)
    reduced = reduced / (1 + head.reduction.bn.eps) ** 0.5
    torch.testing.assert_close(head(FEATS), plain([reduced]))
    assert head(FEATS).shape == (4, 3, 6, 3)


@pytest.mark.parametrize(('in_channels', 'millions'), [(512, 13.12), (2048, 13.91)])
def test_reduced_psp_head_of_512_channels_has_the_size_of_the_papers(in_channels, millions):
    """1x1 to 512, four 1x1 and one 3x3 of 5 * 512 to 512, 20 classes; norms of two a channel."""
    head = ReducedPSPHead(in_channels=in_channels, channels=512, num_classes=20)
    assert sum(p.numel() for p in head.parameters()) / 1e6 == pytest.approx(millions, abs=0.02)
