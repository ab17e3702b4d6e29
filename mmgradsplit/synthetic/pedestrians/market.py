"""Writes drawn people in the form of Market-1501: pictures, and attributes of the identities."""

from functools import partial
from pathlib import Path

import cv2
import numpy as np

from .market_attributes import annotation
from .person import Person, sample_person
from .scene import CAMERAS
from .shot import crop_shot
from .writing import REID_PERSON, REID_SHOT, Crew, folders, save_image, save_mat

SIZE = (64, 128)
FIRST = 2  # Market's identities begin at 2; 0 is the distractor


def write_market1501(
    root: Path,
    seed: int,
    train_ids: int,
    test_ids: int,
    images: int,
    distractors: int,
    draw: Crew,
) -> None:
    """Write the folder of the data set.

    Args:
        root: The folder.
        seed: Seed of all that is random.
        train_ids: Training identities.
        test_ids: Test identities.
        images: Images of each identity.
        distractors: Distractor images in the gallery, and as many junk images.
        draw: Does the drawing.
    """
    folders(root, 'bounding_box_train', 'bounding_box_test', 'query')
    # The stream tells people apart.
    train, test = range(train_ids), range(train_ids, train_ids + test_ids)
    jobs = [('bounding_box_train', FIRST + i, i, n) for i in train for n in range(images)]
    for i in test:
        # One query in each camera, as in the official protocol; the rest is gallery.
        jobs += [
            ('query' if n < len(CAMERAS) else 'bounding_box_test', FIRST + i, i, n)
            for n in range(images)
        ]
    stranger = train_ids + test_ids
    for n in range(distractors):
        jobs.append(('bounding_box_test', 0, stranger + n, n))
        jobs.append(('bounding_box_test', -1, stranger + distractors + n, n))
    draw('reid', jobs, partial(_job, root, seed))
    people = [{FIRST + i: identity(seed, i) for i in stream} for stream in (train, test)]
    save_mat(root / 'market_attribute.mat', annotation(*people))


def identity(seed: int, stream: int) -> Person:
    """The person who is number ``stream`` of all that are drawn for this data set."""
    return sample_person(np.random.default_rng((seed, REID_PERSON, stream)))


def _job(folder: Path, seed: int, job: tuple[str, int, int, int]) -> None:
    where, label, stream, number = job
    person = identity(seed, stream)
    rng = np.random.default_rng((seed, REID_SHOT, stream, number))
    camera = number % len(CAMERAS)
    shot = crop_shot(rng, person, CAMERAS[camera], SIZE)
    image = shot.image
    if label == -1:  # junk: a bad box, which shows half of somebody
        image = np.asarray(cv2.resize(image[: image.shape[0] // 2], SIZE), np.uint8)
    text = '-1' if label == -1 else f'{label:04d}'
    box = 0 if where == 'query' else 1
    name = f'{text}_c{camera + 1}s1_{stream * 1000 + number:06d}_{box:02d}.jpg'
    save_image(folder / where / name, image, CAMERAS[camera].quality)
