"""Mutates configs and looks how each ends: ``python -m tests.fuzz.configs --n 1000 --seed 0``.

Each mistake is trained, in a process of its own, for two epochs of three iterations on a few
images. How it ends is one of

- ``key``: an error before the first step that names the key,
- ``bare``: an error before the first step that does not, or that is no sentence,
- ``late``: an error after the first step,
- ``hang``: no end within a minute,
- ``silent``: no error. Each of these must be legal, for a reason in :mod:`tests.fuzz.legal`.
"""

import argparse
import contextlib
import io
import json
import multiprocessing
import os
import random
import re
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config

sys.path[:0] = [str(Path(__file__).parents[1])]

from fixtures_training import run, tiny_config, write_data  # noqa: E402

from mmgradsplit.cli.errors import USER_ERRORS  # noqa: E402
from mmgradsplit.engine.loops.seeded import SeededTrainLoop  # noqa: E402
from mmgradsplit.utils.config_errors import sentence  # noqa: E402

from .legal import reason_of  # noqa: E402
from .mutations import Mutation, mutate  # noqa: E402

SECONDS = 60


class Outcome(NamedTuple):
    """How a training of a mutated config ended.

    Attributes:
        mutation: What was mutated.
        end: ``key``, ``bare``, ``late``, ``hang`` or ``silent``.
        text: What the error says, or why it is legal.
    """

    mutation: Mutation
    end: str
    text: str


def base_config(data: Path) -> Config:
    """The config that is mutated: four tasks, with what the project's configs set."""
    return tiny_config(
        data,
        optim_wrapper__clip_grad=dict(max_norm=35, norm_type=2),
        optim_wrapper__accumulative_counts=1,
        optim_wrapper__threshold=-0.01,
        optim_wrapper__optimizers='separate',
        optim_wrapper__update='step',
        optim_wrapper__drop_grad=0.0,
        optim_wrapper__split_norm=False,
        optim_wrapper__paramwise_cfg=dict(norm_decay_mult=0.0),
        val_cfg__references={
            'attribute/MA': 50.0,
            'reid/mAP': dict(value=80.0, lower_is_better=False),
            'pose/PCK': 30.0,
            'parsing/mIoU': 20.0,
        },
        default_hooks__checkpoint__save_best='delta_m',
        default_hooks__checkpoint__max_keep_ckpts=2,
        train_cfg__val_begin=1,
        custom_hooks=[dict(type='SummaryHook')],
        log_processor=dict(window_size=50),
    )


def _end(connection: Any, cfg: Config, folder: Path) -> None:
    """Train in this process, and say how it ended."""
    steps = []
    plain = SeededTrainLoop._take

    def take(self: SeededTrainLoop, step: Any) -> Any:
        steps.append(step.name)
        return plain(self, step)

    SeededTrainLoop._take = take
    found = ('silent', '', False)
    silence = io.StringIO()
    try:
        with contextlib.redirect_stdout(silence), contextlib.redirect_stderr(silence):
            warnings.simplefilter('ignore')
            run(cfg, folder)
    except BaseException as error:
        one = isinstance(error, USER_ERRORS)
        found = ('late' if steps else 'early', f'{type(error).__name__}: {sentence(error)}', one)
    connection.send(found)
    connection.close()
    os._exit(0)


def try_out(cfg: Config, mutation: Mutation) -> Outcome:
    """Train a mutated config, and class how it ends."""
    here, there = multiprocessing.Pipe()
    with tempfile.TemporaryDirectory() as folder:
        process = multiprocessing.get_context('fork').Process(
            target=_end, args=(there, cfg, Path(folder))
        )
        process.start()
        there.close()
        try:
            end, text, one = here.recv() if here.poll(SECONDS) else ('hang', '', False)
        except EOFError:
            end, text, one = 'bare', 'the process died', False
        process.kill()
        process.join()
    if end == 'early':
        end = 'key' if one and names(text, mutation) else 'bare'
    if end == 'silent':
        text = reason_of(mutation)
    return Outcome(mutation, end, text)


def names(text: str, mutation: Mutation) -> bool:
    """Whether a text names the key: the dict that it is in, or its name with what it is part of."""
    words = {str(mutation.path[-1])}
    if mutation.kind == 'typo':
        words.add(str(mutation.value))
    steps = [str(step) for step in mutation.path]
    within = '.'.join(steps[:-1])
    if mutation.kind == 'swapped':
        return any(task in text for task in mutation.value)
    if len(steps) > 2 and within in text:
        return True
    if len(steps[-1]) > 6 and steps[-1] in text:  # no other key is called so
        return True
    return any(re.search(rf'\b{re.escape(word)}\b', text) for word in words) and (
        len(steps) == 1 or steps[0] in text or steps[-2] in text
    )


def campaign(number: int, seed: int, seconds: float = float('inf')) -> list[Outcome]:
    """Try out mutations.

    Args:
        number: How many.
        seed: Of the mutations.
        seconds: After which no further one is begun.
    """
    rng, begun = random.Random(seed), time.monotonic()
    outcomes = []
    with tempfile.TemporaryDirectory() as folder:
        cfg = base_config(write_data(Path(folder), number=6))
        for _ in range(number):
            if time.monotonic() - begun > seconds:
                break
            changed, mutation = mutate(cfg, rng)
            outcomes.append(try_out(changed, mutation))
    return outcomes


def table(outcomes: list[Outcome]) -> str:
    """How many ended how, by the kind of mistake."""
    ends = ('key', 'bare', 'late', 'hang', 'silent')
    counts = Counter((outcome.mutation.kind, outcome.end) for outcome in outcomes)
    kinds = sorted({outcome.mutation.kind for outcome in outcomes})
    rows = [f'{"":10}' + ''.join(f'{end:>8}' for end in ends)]
    for kind in [*kinds, 'all']:
        sums = [
            sum(n for (k, e), n in counts.items() if e == end and kind in (k, 'all'))
            for end in ends
        ]
        rows.append(f'{kind:10}' + ''.join(f'{number:8}' for number in sums))
    return '\n'.join(rows)


def main() -> None:
    """Run a campaign, and show what does not fail as it should."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--n', type=int, default=1000, help='mutations')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--seconds', type=float, default=float('inf'), help='to stop after')
    parser.add_argument('--out', type=Path, help='JSON file for all outcomes')
    args = parser.parse_args()
    outcomes = campaign(args.n, args.seed, args.seconds)
    for outcome in outcomes:
        if outcome.end != 'key':
            print(f'{outcome.end:7} {outcome.mutation}: {outcome.text[:300]}')
    print(table(outcomes))
    if args.out:
        args.out.write_text(json.dumps([[str(o.mutation), o.end, o.text] for o in outcomes]))


if __name__ == '__main__':
    main()
