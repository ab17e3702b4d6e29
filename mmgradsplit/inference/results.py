"""What a network says of a picture, and of the people in it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmgradsplit.functional.placement import Box, Size

from .task_results import DIGITS, TaskResult

# Meta information of each task's data set: names of classes, palettes, skeletons.
Metas = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Person:
    """A person in a picture.

    Attributes:
        box: x1, y1, x2, y2 in the picture.
        score: The detector's.
        tasks: What each task says of the person, in the picture's pixels.
        crop: The part of the picture that the network saw: x1, y1, x2, y2, whole pixels.
        samples: The toolboxes' data samples by task, in the crop's pixels.
    """

    box: Box
    score: float
    tasks: Mapping[str, TaskResult]
    crop: tuple[int, int, int, int]
    samples: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True)
class Result:
    """What a network says of a picture.

    Attributes:
        name: A short name, different for every picture of a call; files are named by it.
        source: The file, or the place in what was given.
        index: The number of the picture in what was given, of a video in the video.
        size: (width, height) of the picture.
        tasks: What each task says, in the picture's pixels; empty where people are looked at.
        people: The people, where a detector or boxes are given, else None.
        image_id: Of COCO's files.
        image: shape [H x W x 3], BGR; None where it was let go.
        samples: The toolboxes' data samples by task, in the picture's pixels.
    """

    name: str
    source: str
    index: int
    size: Size
    tasks: Mapping[str, TaskResult]
    people: tuple[Person, ...] | None = None
    image_id: int = 0
    image: NDArray[np.uint8] | None = field(default=None, repr=False, compare=False)
    samples: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def as_json(self) -> dict[str, Any]:
        """What JSON can hold of it."""
        content: dict[str, Any] = dict(
            name=self.name,
            source=self.source,
            index=self.index,
            image_id=self.image_id,
            width=self.size[0],
            height=self.size[1],
        )
        if self.people is None:
            return content | dict(tasks=_tasks_as_json(self.tasks))
        people = [
            dict(
                box=[round(float(value), 2) for value in person.box],
                score=round(person.score, DIGITS),
                tasks=_tasks_as_json(person.tasks),
            )
            for person in self.people
        ]
        return content | dict(people=people)

    def parts(self) -> list[tuple[str, TaskResult, float]]:
        """What was said, with the task, and the person's score: of the picture, or of each person.

        The least sure person comes first, so that the surest is drawn last.
        """
        if self.people is None:
            return [(task, said, 1.0) for task, said in self.tasks.items()]
        return [
            (task, said, person.score)
            for person in sorted(self.people, key=lambda person: person.score)
            for task, said in person.tasks.items()
        ]

    def without_image(self) -> Result:
        """The same without picture and data samples, which need much memory."""
        people = self.people
        if people is not None:
            people = tuple(dataclasses.replace(person, samples={}) for person in people)
        return dataclasses.replace(self, image=None, samples={}, people=people)


def _tasks_as_json(tasks: Mapping[str, TaskResult]) -> dict[str, Any]:
    return {task: dict(kind=said.kind, **said.as_json()) for task, said in tasks.items()}
