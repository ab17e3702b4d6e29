"""GradNorm: weights that balance gradient norms."""

import math
from collections.abc import Mapping, Sequence

import torch
from mmengine.dist import all_reduce, get_world_size
from torch import Tensor, nn

from mmgradsplit.functional import weighted_layers
from mmgradsplit.registry import WEIGHTINGS

from .base import StandingWeighting


@WEIGHTINGS.register_module()
class GradNormWeighting(StandingWeighting):
    """GradNorm: ``sum_t w_t L_t``, with learned ``w_t`` that add up to T.

    With ``G_t`` the norm of the gradient of ``w_t L_t`` on the last shared layer, and ``r_t`` the
    task's ``L_t / L_t(0)`` divided by its mean over the tasks, the weights descend
    ``sum_t |G_t - mean(G) r_t ** alpha|``, whose second term is a constant (Chen et al., GradNorm,
    Equations 1 and 2, Algorithm 1). They are learned by the network's optimizer, at a learning rate
    of their own and without weight decay.

    Costs a backward pass through the heads and this layer for each task; T times the layer's
    weights in memory.

    A task without a sample in a step stands with its latest loss and norm, and its weight gets no
    gradient. So in round-robin training each task step moves the weight of its own task.

    Args:
        tasks: Names of the tasks, in order.
        layer: Name of the last shared layer in the backbone, such as ``'layer4.1.conv2'``. By
            default its last one with a matrix or kernel of weights to train.
        alpha: How strongly slow tasks are pulled up; 1.5 in the paper for NYUv2.
        lr: Learning rate of the weights; the paper's by default. Schedulers of the learning rate
            change it as they change that of the network.

    Attributes:
        weights: shape [T], learned.
        first: shape [T], each task's first loss; NaN before.
        norms: shape [T], each task's latest gradient norm, unweighted; NaN before.

    Raises:
        ValueError: If the backbone has no such layer, or a first loss is not positive.
    """

    first: Tensor
    norms: Tensor

    def __init__(
        self,
        tasks: Sequence[str],
        layer: str | None = None,
        alpha: float = 1.5,
        lr: float = 0.025,
    ) -> None:
        super().__init__(tasks)
        self.optimizer_options = dict(lr=lr, weight_decay=0.0)
        self.layer, self.alpha = layer, alpha
        self.weights = nn.Parameter(torch.ones(len(tasks)))
        self.register_buffer('first', torch.full((len(tasks),), math.nan))
        self.register_buffer('norms', torch.full((len(tasks),), math.nan))

    def link(self, backbone: nn.Module) -> None:
        """Find the layer.

        Args:
            backbone: The shared backbone.
        """
        layers = weighted_layers(backbone)
        if not layers or (self.layer is not None and self.layer not in layers):
            raise ValueError(
                f'optim_wrapper.weighting.layer: the {type(backbone).__name__} has no layer '
                f"'{self.layer}' with weights to train, only {list(layers)}"
            )
        # In a tuple: it is a parameter of the backbone.
        self._last = (layers[self.layer or list(layers)[-1]].weight,)

    def forward(self, losses: Mapping[str, Tensor]) -> Tensor:
        """The weighted sum, whose derivative by the weights is that of GradNorm's own loss."""
        values = self.standing(losses)
        self.latest.copy_(values.detach())
        with torch.no_grad():
            # As after each update in the paper; a weight that left the positive ones comes back.
            self.weights.clamp_(min=1e-6).mul_(len(self.tasks) / self.weights.sum())
        total = self.weights.detach() @ values
        if any(loss.requires_grad for loss in losses.values()):
            balance = self._imbalance(losses, values.detach())
            total = total + (balance - balance.detach())
        return total

    def logs(self) -> dict[str, Tensor]:
        """The weights."""
        weights = self.weights.detach().clone()
        return {f'weight/{task}': weight for task, weight in zip(self.tasks, weights, strict=True)}

    def _imbalance(self, losses: Mapping[str, Tensor], values: Tensor) -> Tensor:
        """The sum of the norms' distances from their targets, of the tasks that have a sample."""
        live = values.new_tensor([task in losses for task in self.tasks]).bool()
        self.norms.copy_(torch.where(live, self._layer_norms(losses), self.norms))
        self.first.copy_(torch.where(live & self.first.isnan(), values, self.first))
        seen = ~self.first.isnan()
        self.check_positive(torch.where(seen, self.first, 1.0), 'it is divided by the first loss')
        relative = values / self.first
        rates = relative / relative[seen].mean()
        mean = (self.weights.detach() * self.norms)[seen].mean()
        targets = mean * rates**self.alpha
        return (self.weights[live] * self.norms[live] - targets[live]).abs().sum()

    def _layer_norms(self, losses: Mapping[str, Tensor]) -> Tensor:
        """The norm of each task's gradient on the layer, shape [T]; of the mean over all ranks."""
        (weight,) = self._last
        rows = weight.new_zeros(len(self.tasks), weight.numel())
        for row, task in zip(rows, self.tasks, strict=True):
            if task in losses and losses[task].requires_grad:
                (found,) = torch.autograd.grad(
                    losses[task], weight, retain_graph=True, allow_unused=True
                )
                if found is not None:
                    row.copy_(found.flatten())
        if get_world_size() > 1:
            all_reduce(rows, 'mean')
        return rows.norm(dim=1).to(self.norms)
