"""Joint training on one data set whose samples are annotated for several tasks."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_reduce, get_rank, get_world_size
from mmengine.runner import Runner
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from mmgradsplit.engine.allocators import Allocator, FullTask
from mmgradsplit.functional import derive_seed
from mmgradsplit.registry import ALLOCATORS, LOOPS
from mmgradsplit.utils import unwrapped

from .batches import with_own_samples
from .checks import learned_annotations
from .dataloaders import CPU, STREAM, RoundRobinDataLoader, build_dataloader, device_of, task_names
from .rehearsal import first_samples, rehearse_step
from .seeded import SeededTrainLoop, Step


def iteration_allocations(
    allocator: Allocator,
    batch: Mapping[str, Any],
    tasks: Sequence[str],
    annotations: Mapping[str, str] | None,
    place: tuple[int, int, int],
) -> Iterator[NDArray[np.bool_]]:
    """The allocation of each sub-step of an iteration.

    Args:
        allocator: The allocator.
        batch: What the dataloader gives.
        tasks: Names of the tasks, in order.
        annotations: Field of the data sample that holds a task's annotation, by task; None if all
            samples have all annotations.
        place: Seed, rank and iteration.

    Returns:
        An iterator of shape [N x T], whether sample n is supervised by task t.
    """
    samples = batch['data_samples']
    annotated: NDArray[np.bool_]
    if annotations is None:
        annotated = np.ones((len(samples), len(tasks)), dtype=bool)
    else:
        annotated = np.array([[annotations[task] in of for task in tasks] for of in samples])
    rng = np.random.default_rng(derive_seed(*place, 'allocation'))
    return allocator(annotated, rng)


class RevisitingDataLoader(RoundRobinDataLoader):
    """``gap`` new batches, then the same ones again, and so on.

    Args:
        dataloaders: The streams' dataloaders.
        iters_per_epoch: Iterations of an epoch.
        seed: Seed of the run.
        gap: Iterations after which a batch comes again.
        annotations: As for :class:`RoundRobinDataLoader`.
        device: Where the batches have to go.
    """

    def __init__(
        self,
        dataloaders: Mapping[str, DataLoader],
        iters_per_epoch: int,
        seed: int,
        gap: int,
        annotations: Mapping[str, str] | None = None,
        device: torch.device = CPU,
    ) -> None:
        super().__init__(dataloaders, iters_per_epoch, seed, annotations, device=device)
        self.gap = gap
        self._kept: list[dict[str, Any]] = []

    def seek(self, iteration: int, seed: int) -> None:
        """Make ``iteration``, from the beginning of the run with this seed, the next one."""
        block, place = divmod(iteration, 2 * self.gap)
        if place and iteration == self._iteration and len(self._kept) == min(place, self.gap):
            return  # the next epoch begins within a block
        super().seek(block * self.gap, seed)
        self._kept = [self._read() for _ in range(min(place, self.gap))]
        self._iteration = iteration

    def _following(self) -> dict[str, Any]:
        """The batch of the current iteration, which stays where it was moved to."""
        place = self._iteration % (2 * self.gap)
        if place == 0:
            self._kept = []
        if place < self.gap:
            self._kept.append(self._read())
        return self._kept[place % self.gap]


@LOOPS.register_module()
class JointTrainLoop(SeededTrainLoop):
    """Trains all tasks on the samples of one data set; STA and ISTA by their allocators.

    In each sub-step the shared backbone runs once, and a task's head sees only the samples that are
    allocated to it. Task t's loss is the mean over the samples allocated to it on all ranks. With
    GradSplitOptimWrapper a sub-step has a task step for each task, as the mask acts on task
    gradients (Eq. 4 of GradSplit).

    Args:
        runner: mmengine's runner.
        dataloader: Config of the dataloader. A sample's data sample holds the annotations of all
            tasks.
        max_epochs: Number of epochs.
        allocator: Config of the allocator; default ``dict(type='FullTask')``.
        annotations: Field of the data sample that holds a task's annotation, by task, such as
            ``dict(depth='gt_depth_map')``. A sample without the field is never allocated to the
            task. By default all samples have all annotations.
        iters_per_epoch: Iterations of an epoch; by default, once through the data.
        val_begin: First epoch that is validated.
        val_interval: Epochs between validations.
        dynamic_intervals: Pairs (epoch, interval): from this epoch on, validate at this interval.

    Raises:
        ValueError: If allocator or annotations do not fit the model's tasks, no sample is annotated
            for a task, or the tasks preprocess the data differently.
    """

    def __init__(
        self,
        runner: Runner,
        dataloader: dict,
        max_epochs: int,
        allocator: dict | None = None,
        annotations: Mapping[str, str] | None = None,
        iters_per_epoch: int | None = None,
        val_begin: int = 1,
        val_interval: int = 1,
        dynamic_intervals: list[tuple[int, int]] | None = None,
    ) -> None:
        self.tasks = task_names(runner)
        self.allocator = ALLOCATORS.build(allocator or dict(type='FullTask'))
        self.allocator.check(self.tasks)
        self.annotations = None if annotations is None else dict(annotations)
        _check_preprocessors(runner, self.tasks)
        loader = build_dataloader(runner, dataloader, 'train_dataloader', self.tasks)
        self._check_annotations(loader)
        length = len(loader) if iters_per_epoch is None else iters_per_epoch
        if length < 1:
            raise ValueError(f'train_cfg.iters_per_epoch must be at least 1, got {length}')
        loaders = {STREAM: loader}
        learned = learned_annotations(unwrapped(runner.model), self.tasks)
        gap, device = self.allocator.gap, device_of(runner)
        super().__init__(
            runner,
            RoundRobinDataLoader(loaders, length, runner.seed, learned, device=device)
            if gap is None
            else RevisitingDataLoader(loaders, length, runner.seed, gap, learned, device),
            tasks=self.tasks,
            sub_steps=self.allocator.sub_steps(len(self.tasks)),
            task_steps={},
            max_epochs=max_epochs,
            val_begin=val_begin,
            val_interval=val_interval,
            dynamic_intervals=dynamic_intervals,
        )

    def rehearse(self) -> None:
        """Compute the losses of all tasks."""
        batch = first_samples(self.dataloader.peek(STREAM))
        number = len(batch['data_samples'])
        place = (self.runner.seed, get_rank(), self._iter)
        everything = iteration_allocations(FullTask(), batch, self.tasks, self.annotations, place)
        allocation = next(everything)
        if number and allocation.any():
            rehearse_step(self.runner, '', dict(batch, allocation=allocation, counts=None))

    def steps(self, data_batch: Mapping[str, Any]) -> Iterator[Step]:
        """The sub-steps; for a method that works task by task, the task steps of each."""
        batch = data_batch[STREAM]
        by_task = self.method.by_task
        # Copying costs time, which a batch that is used once can do without.
        once = self.sub_steps == 1 and self.allocator.gap is None and not by_task
        own_batch = dict if once else with_own_samples
        place = (self.runner.seed, get_rank(), self._iter)
        allocations = iteration_allocations(
            self.allocator, batch, self.tasks, self.annotations, place
        )
        for number, allocation in enumerate(allocations):
            # Of all ranks, so that all take the same steps and the mean is over all samples.
            counts = torch.from_numpy(allocation.sum(0))
            all_reduce(counts)
            totals = counts.numpy()
            present = [task for task, total in zip(self.tasks, totals, strict=True) if total]
            self._keep_in_step(batch, allocation, present)
            if present and not by_task:
                part = dict(own_batch(batch), allocation=allocation, counts=totals)
                yield Step(f'sub-step {number}', part, present, True)
            elif by_task:
                for task in present:
                    own, its = self._of_task(allocation, task), self._of_task(totals, task)
                    part = dict(own_batch(batch), allocation=own, counts=its)
                    yield Step(f'{task}, sub-step {number}', part, [task], task == present[-1])

    def _of_task(self, numbers: NDArray, task: str) -> NDArray:
        """Numbers by task, shape [... x T], with zeros for all other tasks."""
        return np.where(np.array(self.tasks) == task, numbers, 0).astype(numbers.dtype)

    def _keep_in_step(
        self, batch: Mapping[str, Any], allocation: NDArray[np.bool_], present: Sequence[str]
    ) -> None:
        """Let ranks without a sample for a task know in which exchanges of its loss to take part.

        Raises:
            ValueError: If they cannot take part.
        """
        may_have_none = self.allocator.partial or self.annotations is not None
        if get_world_size() == 1 or not may_have_none:
            return
        model = unwrapped(self.runner.model)

        def loss(task: str) -> None:
            own = self._of_task(allocation, task)
            model.compute_losses(dict(with_own_samples(batch), allocation=own, counts=None))

        given = {task: bool(allocation[:, self.tasks.index(task)].any()) for task in present}
        model.exchanges.learn(model, loss, given)

    def _check_annotations(self, loader: DataLoader) -> None:
        """Find at least one annotation for each task before training starts."""
        if self.annotations is None:
            if hasattr(loader.dataset, 'task_metainfo'):  # a JoinedDataset
                raise ValueError(
                    f'train_cfg.annotations is missing: the parts of a JoinedDataset are annotated '
                    f'for different tasks, so name the field of the data sample that holds the '
                    f'annotation of each of {self.tasks}, such as gt_instances, gt_sem_seg or '
                    f'gt_depth_map'
                )
            return
        if sorted(self.annotations) != sorted(self.tasks):
            raise ValueError(
                f'train_cfg.annotations must name a field for each of the tasks {self.tasks}, got '
                f'{self.annotations}'
            )
        missing = dict(self.annotations)
        dataset: Any = loader.dataset
        # First a sample of each data set, where several are joined.
        first = [0, *getattr(dataset, 'cumulative_sizes', [])[:-1]]
        for index in dict.fromkeys([*first, *range(len(dataset))]):
            sample = dataset[index]['data_samples']
            missing = {task: field for task, field in missing.items() if field not in sample}
            if not missing:
                return
        raise ValueError(
            f'train_dataloader.dataset: no sample is annotated for the tasks {list(missing)}; '
            f'their fields {list(missing.values())} (train_cfg.annotations) are in no data sample'
        )


def _check_preprocessors(runner: Runner, tasks: list[str]) -> None:
    """One image goes through the backbone once, so all tasks must prepare it alike."""
    if 'tasks' not in runner.cfg.model:
        return  # a model with tasks of its own, such as STAMaskRCNN, has one preprocessor
    configs = {t: runner.cfg.model.tasks[t].get('data_preprocessor') for t in tasks}
    different = [task for task in tasks if configs[task] != configs[tasks[0]]]
    if different:
        raise ValueError(
            f'joint training prepares an image once for all tasks, but '
            f'model.tasks.{different[0]}.data_preprocessor differs from that of '
            f"'{tasks[0]}'; give all tasks the same"
        )
