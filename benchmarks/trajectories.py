"""Exact training trajectories: proof that a change of the code changes no training, bit for bit.

Every case of the table in ``_trajectory_cases.py`` is trained for some iterations on small drawn
data, in a process of its own, on one thread of the CPU. ``record`` writes the losses of each
iteration and a hash of the final weights; ``compare`` trains again and says where something
differs, and that a resumed training ends where the uninterrupted one does. The code that is trained
is always the one this file lies in. Losses and weights are the same only on the same kind of CPU
with the same torch; both are in the file.

A hash is of the network alone, not of what belongs to a method, such as learned loss weights.

Example:
    python benchmarks/trajectories.py record benchmarks/trajectories.json
    python benchmarks/trajectories.py compare benchmarks/trajectories.json --cases uw amtl
"""

import argparse
import importlib.metadata
import json
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from _trajectory_cases import CASES, COCO, RESUMED
from _trajectory_data import make_data
from _trajectory_processes import ROOT, Recorded, run_case


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('action', choices=['record', 'compare'])
    parser.add_argument('file', type=Path, help='JSON file of the trajectories')
    parser.add_argument(
        '--cases', nargs='+', choices=CASES, default=list(CASES), metavar='CASE',
        help=f'by default all: {", ".join(CASES)}',
    )  # fmt: skip
    parser.add_argument(
        '--data', type=Path, default=Path('data/trajectories'),
        help='folder of the drawn data, which are made where it is absent',
    )  # fmt: skip
    parser.add_argument(
        '--coco', type=Path, default=ROOT.parent / 'shared/data/coco_sample',
        help='folder of the four COCO images with test_coco.json',
    )  # fmt: skip
    return parser.parse_args()


def environment() -> dict[str, Any]:
    """What numbers may depend on beside the code."""
    info = Path('/proc/cpuinfo')
    lines = info.read_text().splitlines() if info.is_file() else []
    parts = {key.strip(): value.strip() for key, _, value in (x.partition(':') for x in lines)}
    # The name alone may be that of several generations, which compute by other instructions.
    known = [parts[key] for key in ('model name', 'cpu family', 'model') if key in parts]
    return dict(
        torch=importlib.metadata.version('torch'),
        numpy=importlib.metadata.version('numpy'),
        machine=platform.machine(),
        cpu=' / '.join(known) or platform.processor(),
        threads=1,
    )


def commit() -> str:
    """The commit of the code, with ``-dirty`` where it was changed."""
    command = ['git', '-C', ROOT, 'describe', '--always', '--dirty', '--abbrev=40', '--exclude=*']
    return subprocess.run(command, capture_output=True, text=True).stdout.strip() or 'unknown'


def difference(old: Recorded, new: Recorded) -> str:
    """Where two trajectories of a case first differ, in words; empty if they are equal."""
    parts = []
    pairs = list(zip(old['losses'], new['losses'], strict=False))
    for iteration, (before, after) in enumerate(pairs, 1):
        bad = [key for key in before if before[key] != after.get(key)]
        if bad:
            values = ', '.join(
                f'{key} {_number(before.get(key))} -> {_number(after.get(key))}' for key in bad
            )
            parts.append(f'losses from iteration {iteration}: {values}')
            break
    if len(old['losses']) != len(new['losses']):
        parts.append(f'{len(old["losses"])} -> {len(new["losses"])} iterations')
    if old['weights'] != new['weights']:
        parts.append('weights')
    return '; '.join(parts)


def _number(value: str | None) -> str:
    return 'none' if value is None else repr(float.fromhex(value))


def record(args: argparse.Namespace) -> bool:
    """Write the trajectories of the cases; other cases of the file stay.

    Returns:
        Whether all cases were trained and resumed trainings end like uninterrupted ones.
    """
    stored = dict(environment=environment(), cases={})
    if args.file.is_file():
        stored = json.loads(args.file.read_text())
        if stored['environment'] != environment():
            raise SystemExit(f'{args.file} is of another environment: {stored["environment"]}')
    good = True
    for name in args.cases:
        words = _reason_to_skip(name, args)
        if not words:
            try:
                new = dict(run_case(name, args.data, args.coco), commit=commit())
            except RuntimeError as error:
                good, words = False, f'FAILED: {error}'
            else:
                stored['cases'][name] = new
                args.file.write_text(json.dumps(stored, indent=1) + '\n')
                words = f'recorded, {new["seconds"]} s'
                differs = _differs_from_uninterrupted(name, stored['cases'])
                good = good and not differs
                words += f'; {differs}' if differs else ''
        print(f'{name:32}{words}', flush=True)
    return good


def compare(args: argparse.Namespace) -> bool:
    """Train the cases again and print where they differ from the file.

    Returns:
        Whether nothing differs.
    """
    stored = json.loads(args.file.read_text())
    here = environment()
    for key, value in stored['environment'].items():
        if value != here[key]:
            print(f"NOTE: recorded with {key} '{value}', here '{here[key]}': numbers may differ")
    good = True
    results: dict[str, Recorded] = {}
    for name in args.cases:
        words = _reason_to_skip(name, args)
        if not words and name not in stored['cases']:
            good, words = False, 'NOT IN THE FILE'
        if not words:
            try:
                results[name] = run_case(name, args.data, args.coco)
            except RuntimeError as error:
                words = f'FAILED: {error}'
            else:
                words = difference(stored['cases'][name], results[name])
                words = f'DIFFERENT: {words}' if words else 'equal'
                differs = _differs_from_uninterrupted(name, results)
                words += f'; {differs}' if differs else ''
                words += f' ({results[name]["seconds"]} s)'
            good = good and words.startswith('equal (')
        print(f'{name:32}{words}', flush=True)
    return good


def _reason_to_skip(name: str, args: argparse.Namespace) -> str:
    if CASES[name].data == COCO and not args.coco.is_dir():
        return f'skipped: no folder {args.coco} (--coco)'
    return ''


def _differs_from_uninterrupted(name: str, results: Mapping[str, Recorded]) -> str:
    whole = results.get(RESUMED.get(name, ''))
    words = difference(whole, results[name]) if whole else ''
    return f'RESUMED DIFFERS FROM {RESUMED[name]}: {words}' if words else ''


def main() -> None:
    """Record or compare."""
    args = parse_args()
    args.data, args.coco = args.data.resolve(), args.coco.resolve()
    make_data(args.data)
    good = record(args) if args.action == 'record' else compare(args)
    sys.exit(0 if good else 1)


if __name__ == '__main__':
    main()
