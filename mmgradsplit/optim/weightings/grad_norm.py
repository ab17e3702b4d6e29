"""GradNorm: weights that balance gradient norms."""

import math
from collections.abc import Mapping, Sequence

import torch
from mmengine.dist import all_reduce, get_world_size
from torch import Tensor, nn

from mmgradsplit.functional import weighted_layers
from mmgradsplit.optim.named_modules import named_parameters
from mmgradsplit.registry import WEIGHTINGS

from .base import StandingWeighting

OWN, MEAN = 'own', 'mean'


@WEIGHTINGS.register_module()
class GradNormWeighting(StandingWeighting):
    """GradNorm: ``sum_t w_t L_t``, with learned ``w_t`` that add up to T.

    With ``G_t`` the norm of the gradient of ``w_t L_t`` on the last shared layer, and ``r_t`` the
    task's ``L_t / L_t(0)`` divided by its mean over the tasks, the weights descend
    ``sum_t |G_t - mean(G) r_t ** alpha|``, whose second term is a constant (Chen et al., GradNorm,
    Equations 1 and 2, Algorithm 1). They are learned by the network's optimizer, at a learning rate
    of their own and without weight decay; or, with ``momentum``, by an SGD of their own that steps
    before the loss is made of them, from ``1/T`` (AMTL's code).

    Costs a backward pass through the heads and this layer for each task, and one gradient of the
    layer in memory.

    A task without a sample in a step stands with its latest loss and norm, and its weight gets no
    gradient. So in round-robin training each task step moves the weight of its own task.

    Args:
        tasks: Names of the tasks, in order.
        layer: The last shared layer: a module of the backbone by its name, such as ``'layer4'``, or
            a list of names or patterns. The gradients are taken on all parameters of these that are
            trained. By default it is the last kernel or matrix of weights in the backbone.
        alpha: How strongly slow tasks are pulled up; 1.5 in the paper for NYUv2.
        lr: Learning rate of the weights; the paper's by default, None for the network's. Schedulers
            of the learning rate change it as they change that of the network, except with
            ``momentum``.
        normalise: What the gradients are divided by before their norms are compared (GradSplit,
            supplement D.2): ``'own'``, each by its own norm, so that ``G_t`` is ``w_t`` and the
            rates of training alone decide; or ``'mean'``, all by the mean of the norms of all
            tasks, so that the scale of the losses does not change how fast the weights move.
        momentum: Momentum of an SGD of the weights' own; None for the network's optimizer.

    Attributes:
        weights: shape [T], learned.
        velocity: shape [T], of the SGD of their own.
        first: shape [T], each task's first loss; NaN before.
        norms: shape [T], each task's latest gradient norm, unweighted; NaN before.

    Raises:
        ValueError: If the backbone has no such layer, ``normalise`` is unknown, or a first loss is
            not positive.
    """

    sums = True
    first: Tensor
    norms: Tensor
    velocity: Tensor

    def __init__(
        self,
        tasks: Sequence[str],
        layer: str | Sequence[str] | None = None,
        alpha: float = 1.5,
        lr: float | None = 0.025,
        normalise: str | None = None,
        momentum: float | None = None,
    ) -> None:
        super().__init__(tasks)
        if normalise not in (None, OWN, MEAN):
            raise ValueError(
                f"optim_wrapper.weighting.normalise must be '{OWN}', '{MEAN}' or None, got "
                f'{normalise!r}'
            )
        self.optimizer_options = dict(weight_decay=0.0)
        if lr is not None:
            self.optimizer_options['lr'] = lr
        self.layer, self.alpha, self.lr = layer, alpha, lr
        self.normalise, self.momentum = normalise, momentum
        if momentum is None:
            self.weights = nn.Parameter(torch.ones(len(tasks)))
        else:
            self.register_buffer('weights', torch.full((len(tasks),), 1 / len(tasks)))
            self.register_buffer('velocity', torch.zeros(len(tasks)))
        self.register_buffer('first', torch.full((len(tasks),), math.nan))
        self.register_buffer('norms', torch.full((len(tasks),), math.nan))

    def link(self, backbone: nn.Module) -> None:
        """Find the layer.

        Args:
            backbone: The shared backbone.
        """
        key = 'optim_wrapper.weighting.layer'
        if self.layer is None:
            params = [layer.weight for layer in weighted_layers(backbone).values()][-1:]
        else:
            names = [self.layer] if isinstance(self.layer, str) else self.layer
            params = named_parameters(backbone, names, key)
        # In a tuple: they are parameters of the backbone.
        self._last = tuple(param for param in params if param.requires_grad)
        if not self._last:
            raise ValueError(
                f'{key}: {self.layer or "the backbone"} has no parameter that is trained, so there '
                f'is no gradient to take the norm of; name a module that is trained'
            )

    def forward(self, losses: Mapping[str, Tensor]) -> Tensor:
        """The weighted sum, whose derivative by the weights is that of GradNorm's own loss."""
        values = self.standing(losses)
        self.latest.copy_(values.detach())
        trains = any(loss.requires_grad for loss in losses.values())
        if self.momentum is not None:
            if trains:
                self._descend(self.momentum, losses, values.detach())
            return self.weights @ values
        self._renormalise()
        total = self.weights.detach() @ values
        if trains:
            balance = self._imbalance(self.weights, losses, values.detach())
            total = total + (balance - balance.detach())
        return total

    def logs(self) -> dict[str, Tensor]:
        """The weights."""
        weights = self.weights.detach().clone()
        return {f'weight/{task}': weight for task, weight in zip(self.tasks, weights, strict=True)}

    def _renormalise(self) -> None:
        """As after each update in the paper; a weight that left the positive ones comes back."""
        with torch.no_grad():
            self.weights.clamp_(min=1e-6).mul_(len(self.tasks) / self.weights.sum())

    def _descend(self, momentum: float, losses: Mapping[str, Tensor], values: Tensor) -> None:
        """A step of the weights' own SGD."""
        rate = self.lr if self.lr is not None else self.network_lr
        if rate is None:
            raise ValueError(
                "optim_wrapper.weighting.lr=None is the network's learning rate, but "
                'optim_wrapper.optimizer has no lr; give one of them'
            )
        weights = self.weights.detach().clone().requires_grad_()
        (slope,) = torch.autograd.grad(self._imbalance(weights, losses, values), weights)
        self.velocity.mul_(momentum).add_(slope)
        self.weights.sub_(rate * self.velocity)
        self._renormalise()

    def _imbalance(self, weights: Tensor, losses: Mapping[str, Tensor], values: Tensor) -> Tensor:
        """The sum of the norms' distances from their targets, of the tasks that have a sample."""
        live = values.new_tensor([task in losses for task in self.tasks]).bool()
        self.norms.copy_(torch.where(live, self._layer_norms(losses), self.norms))
        self.first.copy_(torch.where(live & self.first.isnan(), values, self.first))
        seen = ~self.first.isnan()
        self.check_positive(torch.where(seen, self.first, 1.0), 'it is divided by the first loss')
        relative = values / self.first
        rates = relative / relative[seen].mean()
        norms = self._normalised(seen)
        mean = (weights.detach() * norms)[seen].mean()
        targets = mean * rates**self.alpha
        return (weights[live] * norms[live] - targets[live]).abs().sum()

    def _normalised(self, seen: Tensor) -> Tensor:
        """The norms that are compared; a norm of 0 stays."""
        if self.normalise is None:
            return self.norms
        divisors = self.norms if self.normalise == OWN else self.norms[seen].mean()
        return self.norms / torch.where(divisors == 0, 1.0, divisors)

    def _layer_norms(self, losses: Mapping[str, Tensor]) -> Tensor:
        """The norm of each task's gradient on the layer, shape [T]; of the mean over all ranks."""
        norms = []
        for task in self.tasks:
            found: Sequence[Tensor | None] = [None] * len(self._last)
            if task in losses and losses[task].requires_grad:
                found = torch.autograd.grad(
                    losses[task], self._last, retain_graph=True, allow_unused=True
                )
            pairs = zip(self._last, found, strict=True)
            row = torch.cat([(torch.zeros_like(p) if g is None else g).flatten() for p, g in pairs])
            if get_world_size() > 1:
                all_reduce(row, 'mean')
            norms.append(row.norm())
        return torch.stack(norms).to(self.norms)
