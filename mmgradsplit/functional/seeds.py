"""Seeds that are a function of where training stands, so that a resumed run draws the same."""

import zlib

import numpy as np


def derive_seed(seed: int, *place: int | str) -> int:
    """Seed of one place of a training run, independent of all the others.

    Args:
        seed: Seed of the run.
        *place: What tells the place: task, rank, iteration, index, …

    Returns:
        An integer in ``[0, 2**32)``.
    """
    words = [zlib.crc32(p.encode()) if isinstance(p, str) else int(p) for p in place]
    return int(np.random.SeedSequence([seed, len(words), *words]).generate_state(1)[0])
