"""Batch-hard triplet loss (Hermans et al. 2017, "In Defense of the Triplet Loss", Eq. 5)."""

import torch
import torch.nn.functional as F
from mmengine.dist import get_dist_info
from torch import Tensor, nn
from torch.distributed.nn.functional import all_gather

from mmgradsplit.registry import MODELS


@MODELS.register_module()
class BatchHardTripletLoss(nn.Module):
    r"""Pull the hardest positive of each anchor nearer than its hardest negative.

    .. math:: L = \frac{1}{|V|} \sum_{a \in V} [m + \max_{p: y_p = y_a, p \neq a} d(a, p)
        - \min_{n: y_n \neq y_a} d(a, n)]_+

    with the Euclidean distance d and V the anchors that have a positive and a negative; the others
    contribute nothing. In distributed training, candidates are the embeddings of all processes, and
    V counts the anchors of all processes: the mean of the processes' losses, and so the gradient
    that DistributedDataParallel averages, is that of one process on the joined batch. All processes
    need the same batch size. Computed in float32, under autocast too.

    Args:
        margin: The margin m, or None for the soft margin :math:`\log(1 + \exp(\cdot))`.

    Example:
        >>> embedding = torch.tensor([[0.0], [1.0], [1.5], [9.0]])
        >>> BatchHardTripletLoss(margin=0.5)(embedding, torch.tensor([0, 0, 1, 1]))
        tensor(2.1250)
    """

    def __init__(self, margin: float | None = 0.3) -> None:
        super().__init__()
        self.margin = margin

    def forward(self, embedding: Tensor, identities: Tensor) -> Tensor:
        """Return the loss, a scalar.

        Args:
            embedding: This process's embeddings, ``[N, C]``.
            identities: Their identities, ``[N]``.
        """
        with torch.autocast(embedding.device.type, enabled=False):
            return self._loss(embedding.float(), identities)

    def _loss(self, embedding: Tensor, identities: Tensor) -> Tensor:
        rank, world_size = get_dist_info()
        candidates, candidate_ids = embedding, identities
        if world_size > 1:
            candidates = torch.cat(all_gather(embedding))
            candidate_ids = torch.cat(all_gather(identities))

        same = candidate_ids[:, None] == candidate_ids[None, :]
        positive = same & ~torch.eye(len(same), dtype=torch.bool, device=same.device)
        valid = positive.any(1) & ~same.all(1)

        own = slice(rank * len(embedding), (rank + 1) * len(embedding))
        # Without matrix products: exact for near points, and the gradient at distance 0 is 0.
        distance = torch.cdist(embedding, candidates, compute_mode='donot_use_mm_for_euclid_dist')
        hardest_positive = distance.masked_fill(~positive[own], -torch.inf).amax(1)
        hardest_negative = distance.masked_fill(same[own], torch.inf).amin(1)
        # Zeros for the others, as a choice by a mask has a size that a GPU would be waited for.
        chosen, margin = valid[own], self.margin
        violation = (hardest_positive - hardest_negative).where(chosen, 0.0)
        losses = F.softplus(violation) if margin is None else F.relu(violation + margin)
        return losses.where(chosen, 0.0).sum() * world_size / valid.sum().clamp(min=1)
