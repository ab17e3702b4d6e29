"""Flips single bits of checkpoints: each is found, or changes nothing of what is read.

``python -m tests.fuzz.flips --flips 200`` flips bits of a training's checkpoint and of published
ones, reads each file, and compares what comes of it with the original.
"""

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

sys.path[:0] = [str(Path(__file__).parents[1])]

from fixtures_training import assert_same, run  # noqa: E402
from mmengine.logging import HistoryBuffer  # noqa: E402
from toy_weighting import GRADSPLIT, config  # noqa: E402

from mmgradsplit.utils import CheckpointError, read_checkpoint  # noqa: E402
from mmgradsplit.utils.checkpoint_files import why_not_continue  # noqa: E402
from mmgradsplit.utils.safetensors_files import save_safetensors  # noqa: E402


def checkpoints(folder: Path) -> list[Path]:
    """A checkpoint of a training, and one as it is published."""
    cfg = config(folder, None, optim_wrapper=GRADSPLIT, log_level='ERROR')
    run(cfg, folder / 'run')
    trained = folder / 'run/epoch_2.pth'
    published = folder / 'published.safetensors'
    content = read_checkpoint(trained)
    meta = dict(names=('a', 'b'), array=np.arange(3), cfg=content['meta']['cfg'])
    save_safetensors(content['state_dict'], meta, published)
    return [trained, published]


def comparable(value: Any) -> Any:
    """Without objects that compare by identity."""
    if isinstance(value, HistoryBuffer):
        return [comparable(data) for data in value.data]
    if isinstance(value, np.ndarray):
        return [str(value.dtype), value.tolist()]
    if isinstance(value, dict):
        return {key: comparable(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [comparable(each) for each in value]
    return value


def flipped(file: Path, bit: int, to: Path) -> Path:
    """A copy of a file with one bit changed."""
    content = bytearray(file.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    to.write_bytes(content)
    return to


def outcome(file: Path, original: Any) -> str:
    """What becomes of a file: ``'found'``, ``'found late'``, ``'harmless'`` or ``'silent'``."""
    try:
        content = comparable(read_checkpoint(file))
    except CheckpointError:
        # Before a run is resumed from it, too, so that it takes the one before.
        return 'found' if why_not_continue(file) else 'found late'
    try:
        assert_same(content, original)
    except AssertionError:
        return 'silent'
    return 'harmless'


def try_flips(folder: Path, flips: int, seed: int) -> Counter[str]:
    """Flip bits, each of another copy.

    Args:
        folder: To work in.
        flips: How many, spread over the kinds of files.
        seed: Chooses the bits.

    Returns:
        The number of each outcome, by kind of file and outcome.
    """
    rng, found = np.random.default_rng(seed), Counter[str]()
    files = checkpoints(folder)
    originals = [comparable(read_checkpoint(file)) for file in files]
    for number in range(flips):
        file, original = files[number % len(files)], originals[number % len(files)]
        bit = int(rng.integers(file.stat().st_size * 8))
        copy = flipped(file, bit, folder / f'flipped{file.suffix}')
        what = outcome(copy, original)
        found[f'{file.suffix[1:]}: {what}'] += 1
        if what == 'silent':
            print(f'{file.name}: bit {bit} is silent')
    return found


def main() -> None:
    """Flip."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--flips', type=int, default=200)
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = try_flips(Path(folder), args.flips, args.seed)
    for what, number in sorted(found.items()):
        print(f'{what}: {number}')
    sys.exit(any('silent' in what or 'late' in what for what in found))


if __name__ == '__main__':
    main()
