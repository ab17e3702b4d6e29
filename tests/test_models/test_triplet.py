"""The batch-hard triplet loss against a loop over triplets, and over two processes."""

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from fixtures_ranks import on_two_ranks
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from mmgradsplit.models.losses import BatchHardTripletLoss


def by_hand(embedding: Tensor, identities: Tensor, margin: float | None) -> Tensor:
    """Eq. 5 of Hermans et al., triplet by triplet."""
    losses = []
    for a in range(len(embedding)):
        others = [i for i in range(len(embedding)) if i != a]
        far = [torch.dist(embedding[a], embedding[i]) for i in others
               if identities[i] == identities[a]]  # fmt: skip
        near = [torch.dist(embedding[a], embedding[i]) for i in others
                if identities[i] != identities[a]]  # fmt: skip
        if far and near:
            violation = max(far) - min(near)
            losses.append(
                (1 + violation.exp()).log() if margin is None else (margin + violation).clamp(min=0)
            )
    return torch.stack(losses).mean()


def random_batch(n: int = 12) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    identities = torch.randint(4, (n,), generator=generator)
    return torch.randn(n, 5, generator=generator), identities


@pytest.mark.parametrize('margin', [0.3, 2.0, None])
def test_equals_the_loop_over_triplets(margin):
    embedding, identities = random_batch()
    identities[-1] = 9  # without a positive
    ours, theirs = (embedding.clone().requires_grad_() for _ in range(2))
    loss = BatchHardTripletLoss(margin)(ours, identities)
    expected = by_hand(theirs, identities, margin)
    torch.testing.assert_close(loss, expected)
    loss.backward()
    expected.backward()
    torch.testing.assert_close(ours.grad, theirs.grad)


@pytest.mark.parametrize('identities', [[0, 1, 2, 3], [5, 5, 5, 5]])
def test_no_triplet_is_a_zero_that_can_be_trained(identities):
    embedding = torch.randn(4, 3, requires_grad=True)
    loss = BatchHardTripletLoss()(embedding, torch.tensor(identities))
    loss.backward()
    assert loss == 0 and not embedding.grad.any()


def test_equal_embeddings_have_a_finite_gradient():
    embedding = torch.ones(4, 3, requires_grad=True)
    loss = BatchHardTripletLoss(margin=0.3)(embedding, torch.tensor([0, 0, 1, 1]))
    loss.backward()
    assert loss.item() == pytest.approx(0.3) and embedding.grad.isfinite().all()


def test_near_points_are_exact_far_from_the_origin():
    embedding = torch.tensor([[1000.0], [1000.5], [1002.0], [1002.0]])
    loss = BatchHardTripletLoss(margin=2.0)(embedding, torch.tensor([0, 0, 1, 1]))
    # Anchors: 0.5 - 2, 0.5 - 1.5, 0 - 1.5, 0 - 1.5, each plus 2.
    assert loss.item() == pytest.approx((0.5 + 1 + 0.5 + 0.5) / 4)


def test_runs_in_float32_under_autocast():
    embedding, identities = random_batch()
    expected = BatchHardTripletLoss()(embedding, identities)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        loss = BatchHardTripletLoss()(embedding, identities)
    assert loss.dtype == torch.float32 and loss == expected


def network() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(5, 4)


# The second has unequal numbers of anchors with a positive in the two halves.
CASES = ([0, 0, 1, 1, 0, 1, 2, 2], [0, 1, 2, 3, 1, 1, 4, 2])


def train_rank(rank: int, folder: Path) -> None:
    dist.init_process_group('gloo')
    results = []
    for case in CASES:
        embedding, _ = random_batch(len(case))
        half = slice(rank * len(case) // 2, (rank + 1) * len(case) // 2)
        model = DistributedDataParallel(network())
        loss = BatchHardTripletLoss(margin=None)(model(embedding[half]), torch.tensor(case)[half])
        loss.backward()
        results.append((loss.detach(), model.module.weight.grad))
    torch.save(results, folder / f'{rank}.pt')


def test_two_processes_have_the_gradient_of_the_joined_batch(tmp_path):
    on_two_ranks(train_rank, tmp_path)
    ranks = [torch.load(tmp_path / f'{rank}.pt') for rank in (0, 1)]
    for case, results in zip(CASES, zip(*ranks, strict=True), strict=True):
        model = network()
        embedding, _ = random_batch(len(case))
        joined = BatchHardTripletLoss(margin=None)(model(embedding), torch.tensor(case))
        joined.backward()
        torch.testing.assert_close(sum(loss for loss, _ in results) / 2, joined.detach())
        for _, gradient in results:  # DistributedDataParallel has averaged them
            torch.testing.assert_close(gradient, model.weight.grad)
