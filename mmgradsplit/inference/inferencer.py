"""Inference on anything: pictures in, typed results in the pictures' own pixels out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from mmengine.config import Config
from mmengine.logging import print_log

from mmgradsplit.apis import load_model
from mmgradsplit.functional.placement import Box, Size
from mmgradsplit.utils import chosen_tasks
from mmgradsplit.visualization import input_divisor, predict_batch, rounded_up

from .decode import decode
from .images import Frame, Input, find_inputs
from .own_size import predict_own, validation_views
from .people import Found, PeopleFinder, crop_around
from .progress import PredictionProgress
from .results import Metas, Person, Result
from .task_results import TaskResult

Passes = Literal['shared', 'own']
# Pixels of the pictures of a batch: a score for each class of each pixel has to fit into memory.
BATCH_PIXELS = 2**23


@dataclass(frozen=True)
class Failure:
    """An input that could not be read.

    Attributes:
        source: The file, or the place in what was given.
        reason: A sentence.
    """

    source: str
    reason: str


@dataclass(frozen=True)
class _View:
    """A picture, or a part of one, that the network looks at."""

    image: np.ndarray
    box: Box | None = None


HasImage = TypeVar('HasImage', Frame, _View)


class MultiTaskInferencer:
    """A trained network and what it says of pictures, for all its tasks.

    Args:
        config: Config file, or a name out of ``mmgradsplit configs``, or a config; None for the one
            that the checkpoint holds.
        checkpoint: File with the weights; without one, the weights are random.
        device: Such as ``'cuda:0'``; by default a GPU where there is one.
        cfg_options: Values for keys of the config.

    Attributes:
        model: The :class:`~mmgradsplit.models.MultiTaskModel`.
        tasks: The tasks that it can predict.
        failures: The inputs of the latest call that could not be read.

    Raises:
        FileNotFoundError: If the config or the checkpoint is not there.
        ValueError: If they do not fit.

    Example:
        >>> inferencer = MultiTaskInferencer(None, 'work_dirs/mine/epoch_5.pth')
        >>> (result,) = inferencer('person.jpg')
        >>> result.tasks['pose'].xy  # in pixels of person.jpg
    """

    def __init__(
        self,
        config: str | Path | Config | None,
        checkpoint: str | Path | None = None,
        device: str | None = None,
        cfg_options: Mapping[str, Any] | None = None,
    ) -> None:
        model: Any = load_model(config, checkpoint, device, cfg_options)
        self.model = model
        self.tasks = list(model.tasks)
        self.views = validation_views(model.cfg)
        self.failures: list[Failure] = []
        self._said: set[str] = set()

    @property
    def metas(self) -> Metas:
        """Meta information of each task's data set: names, palettes, skeletons."""
        return self.model.dataset_meta

    def __call__(self, inputs: Any, **options: Any) -> list[Result]:
        """Look at pictures.

        Args:
            inputs: See :func:`~mmgradsplit.inference.find_inputs`.
            **options: Those of :meth:`stream`.

        Returns:
            A result for each picture that could be read, without the picture itself.

        Raises:
            ValueError: If none could be read.
        """
        return [result.without_image() for result in self.stream(inputs, **options)]

    def stream(
        self,
        inputs: Any,
        *,
        batch_size: int = 8,
        tasks: Sequence[str] | None = None,
        passes: Passes = 'shared',
        size: Size | None = None,
        people: PeopleFinder | None = None,
        progress: bool = False,
    ) -> Iterator[Result]:
        """Look at pictures, one batch after the other, without keeping them.

        Args:
            inputs: See :func:`~mmgradsplit.inference.find_inputs`; or what it returned.
            batch_size: Pictures (or people) of a batch. Large pictures come in smaller batches.
            tasks: Names of the tasks to predict; by default all.
            passes: ``'shared'``: all tasks see the same input, in one pass over the backbone;
                ``'own'``: each task sees the picture as it was validated.
            size: (width, height) of the shared input, by default that of the first task.
            people: Finds the people of whole scenes; all tasks are then told of each person.
            progress: Show how far it is, and the time left.

        Yields:
            The results in the order of the inputs. An input that cannot be read is logged and left
            out, see :attr:`failures`.

        Raises:
            KeyError: If there is no such task.
            ValueError: If an option does not fit, or no input could be read.
        """
        names = chosen_tasks(tasks, self.tasks)
        if batch_size < 1:
            raise ValueError(f'batch_size must be at least 1, got {batch_size}')
        if passes not in ('shared', 'own'):
            raise ValueError(f"passes must be 'shared' or 'own', got {passes!r}")
        if passes == 'own' and size is not None:
            raise ValueError("passes='own' takes each task's own size: leave the size out")
        shared = self._shared_size(names, size) if passes == 'shared' else None
        shape = shared or self.model.input_size
        aspect = shape[0] / shape[1] if shape else None
        found = inputs if _is_found(inputs) else find_inputs(inputs)
        self.failures = []

        def look(views: Sequence[_View]) -> list[dict[str, Any]]:
            images = [view.image for view in views]
            if passes == 'own':
                boxes = [view.box for view in views]
                return predict_own(self.model, self.views, images, names, boxes)
            if shared is None:  # every picture in its own size
                return [predict_batch(self.model, [image], None, names)[0] for image in images]
            return predict_batch(self.model, images, shared, names)

        count = 0
        with PredictionProgress(sum(map(len, found)), progress) as bar:
            for frames in _batches(self._frames(found), batch_size):
                for result in self._results(frames, look, people, aspect, batch_size, count):
                    count += 1
                    bar.advance()
                    yield result
        if not count:
            first = self.failures[0].reason
            raise ValueError(
                f'nothing came out of {len(found)} {"input" if len(found) == 1 else "inputs"}: '
                f'{first}'
            )

    def _shared_size(self, tasks: Sequence[str], size: Size | None) -> Size | None:
        """The input's size, and what a person has to know of it, once."""
        if size is not None and (len(size) != 2 or min(size) < 1):
            raise ValueError(f'size must be a width and a height of at least 1, got {size}')
        wanted = size or self.model.input_size
        if wanted is None:
            return None
        own = {task: view.size for task, view in self.views.items() if view.size and task in tasks}
        if size is None and len(set(own.values())) > 1:
            sizes = ', '.join(f'{task} {width}x{height}' for task, (width, height) in own.items())
            self._say(
                f'The tasks were validated at different sizes ({sizes}); one pass shows all of '
                f'them {wanted[0]}x{wanted[1]}. Choose another with size, or give each its own '
                f"with passes='own'."
            )
        taken = rounded_up(wanted, input_divisor(self.model))
        if taken != tuple(wanted):
            self._say(
                f'The network takes multiples of {input_divisor(self.model)}: '
                f'{taken[0]}x{taken[1]} instead of {wanted[0]}x{wanted[1]}.'
            )
        return taken

    def _say(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            print_log(text, 'current', logging.WARNING)

    def _frames(self, found: Sequence[Input]) -> Iterator[Frame]:
        for each in found:
            try:
                yield from each.frames()
            except (OSError, ValueError) as error:
                self._fail(each.source, error)

    def _fail(self, source: str, error: Exception) -> None:
        self.failures.append(Failure(source, str(error)))
        print_log(f'Left out: {error}', 'current', logging.WARNING)

    def _results(
        self,
        frames: Sequence[Frame],
        look: Callable[[Sequence[_View]], list[dict[str, Any]]],
        people: PeopleFinder | None,
        aspect: float | None,
        batch_size: int,
        count: int,
    ) -> Iterator[Result]:
        if people is None:
            samples = look([_View(frame.image) for frame in frames])
            for frame, of_frame in zip(frames, samples, strict=True):
                count += 1
                yield self._result(frame, count, tasks=self._decode(of_frame), samples=of_frame)
            return
        for frame in frames:
            try:
                found = people.find(frame)
            except ValueError as error:
                self._fail(frame.source, error)
                continue
            count += 1
            number = people.image_id(frame)
            persons = self._persons(frame, found, look, aspect, batch_size)
            yield self._result(frame, count if number is None else number, tasks={}, people=persons)

    @staticmethod
    def _result(frame: Frame, image_id: int, **said: Any) -> Result:
        size = (frame.image.shape[1], frame.image.shape[0])
        return Result(
            name=frame.name,
            source=frame.source,
            index=frame.index,
            size=size,
            image_id=image_id,
            image=frame.image,
            **said,
        )

    def _persons(
        self,
        frame: Frame,
        found: Sequence[Found],
        look: Callable[[Sequence[_View]], list[dict[str, Any]]],
        aspect: float | None,
        batch_size: int,
    ) -> tuple[Person, ...]:
        """The people of a picture: cut out, looked at, and brought back into the picture."""
        size = (frame.image.shape[1], frame.image.shape[0])
        crops = [(each, crop_around(each.box, size, aspect)) for each in found]
        inside = [(each, crop) for each, crop in crops if crop is not None]
        if len(inside) < len(found):
            text = f'{frame.source}: {len(found) - len(inside)} boxes are empty or outside'
            print_log(text, 'current', logging.WARNING)
        views = [
            _View(
                np.ascontiguousarray(frame.image[y1:y2, x1:x2]),
                (each.box[0] - x1, each.box[1] - y1, each.box[2] - x1, each.box[3] - y1),
            )
            for each, (x1, y1, x2, y2) in inside
        ]
        samples = [each for batch in _batches(views, batch_size) for each in look(batch)]
        persons = []
        for (each, crop), of_crop in zip(inside, samples, strict=True):
            said = {
                task: result.moved(crop[0], crop[1])
                for task, result in self._decode(of_crop).items()
            }
            persons.append(Person(each.box, each.score, said, crop, of_crop))
        return tuple(persons)

    def _decode(self, samples: dict[str, Any]) -> dict[str, TaskResult]:
        decoded = {}
        for task, sample in samples.items():
            # The scores of all classes at all pixels, which nobody reads any more.
            sample.pop('seg_logits', None)
            result = decode(self.model.tasks[task], sample, self.metas.get(task) or {})
            if result is not None:
                decoded[task] = result
            else:
                self._say(f"There is no result for what the task '{task}' predicts.")
        return decoded


def _batches(items: Iterable[HasImage], batch_size: int) -> Iterator[list[HasImage]]:
    """What is predicted together: so many at most, and not too many pixels."""
    batch: list[HasImage] = []
    pixels = 0
    for item in items:
        height, width = item.image.shape[:2]
        if batch and (len(batch) == batch_size or pixels + height * width > BATCH_PIXELS):
            yield batch
            batch, pixels = [], 0
        batch.append(item)
        pixels += height * width
    if batch:
        yield batch


def _is_found(inputs: Any) -> bool:
    return isinstance(inputs, list) and bool(inputs) and all(isinstance(i, Input) for i in inputs)
