"""The random-identity sampler (Hermans et al. 2017; GradSplit, supplement D.1)."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from mmengine.dist import get_dist_info, sync_random_seed
from torch.utils.data import Sampler

from mmgradsplit.registry import DATA_SAMPLERS


@DATA_SAMPLERS.register_module()
class RandomIdentitySampler(Sampler[int]):
    """Batches of P identities with K images each; an epoch shows each identity once.

    The order depends on the seed and the epoch alone. Of each global batch, process r takes the
    r-th P identities, so the processes' batches joined are the batch that one process would draw
    whose ``batch_size`` is that of all of them together. An identity with fewer than K images is
    drawn with replacement.

    Args:
        dataset: Has ``person_id`` in its ``get_data_info(i)``, or a method ``get_person_ids``, or
            wraps such a data set, sample for sample, as its ``dataset``.
        batch_size: Images a batch and process, P * K; that of the data loader.
        num_instances: Images of an identity, K. The paper: 16, with a batch of 64.
        seed: Seed of the order, the same in all processes; drawn and shared if not given.
        round_up: Fill the last global batch with the epoch's first identities; else leave it out.

    Raises:
        ValueError: If one of the two is below 1, ``num_instances`` does not divide ``batch_size``,
            or there are fewer than P identities.

    Example:
        >>> dataset = SimpleNamespace(get_person_ids=lambda: [7, 7, 7, 8, 8, 9])
        >>> list(RandomIdentitySampler(dataset, batch_size=4, num_instances=2, seed=0))
        [5, 5, 2, 0, 4, 3, 5, 5]
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int,
        num_instances: int,
        seed: int | None = None,
        round_up: bool = True,
    ) -> None:
        if min(batch_size, num_instances) < 1:
            raise ValueError(
                f'RandomIdentitySampler: batch_size={batch_size} and num_instances={num_instances} '
                f'must be at least 1.'
            )
        if batch_size % num_instances:
            raise ValueError(
                f'RandomIdentitySampler: batch_size={batch_size} is not a multiple of '
                f'num_instances={num_instances}.'
            )
        person_ids = np.asarray(_person_ids(dataset))
        self.images = [np.flatnonzero(person_ids == i) for i in np.unique(person_ids)]
        self.identities_per_batch = batch_size // num_instances
        if len(self.images) < self.identities_per_batch:
            raise ValueError(
                f'RandomIdentitySampler: batch_size={batch_size} with num_instances='
                f'{num_instances} asks for {self.identities_per_batch} identities a batch, but the '
                f'data set has {len(self.images)}: make batch_size smaller or num_instances larger.'
            )
        self.num_instances = num_instances
        self.rank, self.world_size = get_dist_info()
        self.seed = sync_random_seed() if seed is None else seed
        self.epoch = 0
        batches = len(self.images) / (self.identities_per_batch * self.world_size)
        self.num_batches = math.ceil(batches) if round_up else math.floor(batches)

    def __iter__(self) -> Iterator[int]:
        """Yield the indices of this process's samples, one identity after the other."""
        rng = np.random.default_rng((self.seed, self.epoch))
        order = rng.permutation(len(self.images))
        per_batch, stride = self.identities_per_batch, self.identities_per_batch * self.world_size
        for place in range(self.num_batches * stride):
            # Every process draws for every identity, so that all of them stay at the same number.
            images = self.images[order[place % len(order)]]
            drawn = rng.choice(images, self.num_instances, replace=len(images) < self.num_instances)
            if place % stride // per_batch == self.rank:
                yield from drawn.tolist()

    def __len__(self) -> int:
        """Return the number of samples of this process in an epoch."""
        return self.num_batches * self.identities_per_batch * self.num_instances

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order the next iteration follows."""
        self.epoch = epoch


def _person_ids(dataset: Any) -> list[int]:
    """Return the identity of each sample of ``dataset`` or of the data set that it wraps."""
    if hasattr(dataset, 'get_person_ids'):
        return dataset.get_person_ids()
    if hasattr(dataset, 'get_data_info'):
        infos = [dataset.get_data_info(i) for i in range(len(dataset))]
        if all('person_id' in info for info in infos):
            return [info['person_id'] for info in infos]
    elif hasattr(dataset, 'dataset') and len(dataset.dataset) == len(dataset):
        return _person_ids(dataset.dataset)
    raise ValueError(
        f'RandomIdentitySampler: the data set {type(dataset).__name__} does not say who its '
        'samples show: its get_data_info(i) needs a person_id, or it a method get_person_ids.'
    )
