"""Exact training trajectories: proof that a change of the code changes no training, bit for bit.

Every case of the table ``CASES`` is trained for some iterations on small drawn data, in a process
of its own, on one thread of the CPU. ``record`` writes the losses of each iteration and a hash of
the final weights; ``compare`` trains again and says where something differs, and that a resumed
training ends where the uninterrupted one does. The code that is trained is always the one this file
lies in. Losses and weights are the same only on the same kind of CPU with the same torch; both are
in the file.

After a change of how a config says something, only the table at the top has to be edited. A hash
is of the network alone, not of what belongs to a method, such as learned loss weights.

Example:
    python benchmarks/trajectories.py record benchmarks/trajectories.json
    python benchmarks/trajectories.py compare benchmarks/trajectories.json --cases uw amtl
"""

import argparse
import copy
import hashlib
import importlib.metadata
import json
import os
import platform
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
Recorded = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """A training whose trajectory is recorded.

    Attributes:
        config: Config file, below ``configs/``.
        data: Which data it trains on, a key of ``SETTINGS``.
        seed: Seed of the training.
        options: The keys of the config that make the method.
        validate: Whether it validates after every epoch.
        epochs: Number of epochs.
        iterations: Iterations of an epoch.
        stop: Epoch after which the training ends, and another process resumes it.
        processes: Number of processes that train together.
    """

    config: str
    data: str
    seed: int
    options: Mapping[str, Any] = field(default_factory=dict)
    validate: bool = False
    epochs: int = 4
    iterations: int = 5
    stop: int | None = None
    processes: int = 1


DEMO = 'gradsplit/r18gn_4task_demo_long.py'
SCENES = 'amtl/uniform_r18_deeplabv3plus_scenes.py'
PERSONS, ROOMS, COCO = 'pedestrians', 'scenes', 'coco'
ADAM = dict(type='Adam', lr=0.002)
MIXED = dict(type='mmgradsplit.AutocastOptimWrapper', dtype='bfloat16')
# In place of the demo's GradSplit.
PLAIN = dict(_delete_=True, type='OptimWrapper', optimizer=ADAM)


def _weighting(kind: str, **more: Any) -> dict[str, Any]:
    weighting = dict(type=kind, **more)
    return {'optim_wrapper.type': 'MultiTaskOptimWrapper', 'optim_wrapper.weighting': weighting}


def _aggregator(name: str, on: str) -> dict[str, Any]:
    return {
        'optim_wrapper.type': 'AggregatorOptimWrapper',
        'optim_wrapper.aggregator': dict(type=f'torchjd.{name}'),
        'optim_wrapper.on': on,
    }


CASES: dict[str, Case] = {
    # Round-robin, a data set for each task.
    'multi_head': Case('multihead/r18gn_4task_demo_long.py', PERSONS, 1),
    'gradsplit_step': Case(
        DEMO, PERSONS, 2, {'optim_wrapper.optimizers': 'separate', 'optim_wrapper.update': 'step'}
    ),
    'gradsplit_summed': Case(
        DEMO,
        PERSONS,
        3,
        {'optim_wrapper.optimizers': 'shared', 'optim_wrapper.update': 'iteration'},
    ),
    'gradsplit_shared': Case(DEMO, PERSONS, 4, {'optim_wrapper.optimizers': 'shared'}),
    'gradsplit_dropgrad': Case(DEMO, PERSONS, 5, {'optim_wrapper.drop_grad': 0.5}),
    # Joint, one data set.
    'full_task': Case('sta/ft_r18_scenes.py', ROOMS, 6),
    'sta': Case('sta/r18_scenes.py', ROOMS, 7),
    'ista': Case('sta/ista_r18_scenes.py', ROOMS, 8),
    'uw': Case(SCENES, ROOMS, 9, _weighting('torchjd.UW')),
    'dwa': Case(SCENES, ROOMS, 10, _weighting('torchjd.DWA')),
    'amtl': Case(
        SCENES,
        ROOMS,
        11,
        {
            **_weighting(
                'AMTLWeighting',
                form='geometric',
                references={'seg/mIoU': 9.6, 'depth/delta1': 44.6, 'normal/11.25': 10.4},
            ),
            'train_cfg.val_begin': 1,
            'train_cfg.val_interval': 1,
        },
        validate=True,
    ),
    'gradnorm': Case(
        SCENES,
        ROOMS,
        12,
        _weighting('GradNormWeighting'),
    ),
    'pcgrad_backbone': Case(SCENES, ROOMS, 13, _aggregator('PCGrad', 'backbone')),
    'pcgrad_features': Case(SCENES, ROOMS, 14, _aggregator('PCGrad', 'features')),
    'mgda_backbone': Case(SCENES, ROOMS, 15, _aggregator('MGDA', 'backbone')),
    'mask_rcnn_sta': Case('sta/mask_rcnn_coco_sample.py', COCO, 16),
    # Methods of the one in the other's loop, accumulation, clipping.
    'round_robin_adam': Case(DEMO, PERSONS, 17, {'optim_wrapper': PLAIN}),
    'round_robin_uw': Case(
        DEMO,
        PERSONS,
        18,
        {
            'optim_wrapper': dict(
                PLAIN, type='MultiTaskOptimWrapper', weighting=dict(type='torchjd.UW')
            )
        },
    ),
    'round_robin_pcgrad_accumulated': Case(
        DEMO,
        PERSONS,
        19,
        {
            'optim_wrapper': dict(
                PLAIN,
                type='AggregatorOptimWrapper',
                aggregator=dict(type='torchjd.PCGrad'),
                on='backbone',
                accumulative_counts=2,
            )
        },
    ),
    'gradsplit_accumulated_clipped': Case(
        DEMO,
        PERSONS,
        20,
        {
            'optim_wrapper.accumulative_counts': 2,
            'optim_wrapper.clip_grad': dict(max_norm=1.0),
        },
    ),
    'sta_gradsplit_summed': Case(
        # With group norm: a task step may have a single sample.
        'sta/r18_scenes.py',
        ROOMS,
        21,
        {
            'optim_wrapper': dict(
                _delete_=True,
                type='GradSplitOptimWrapper',
                optimizer=dict(type='Adam', lr=1e-3),
                relations=[[0, -1], [0, 0]],
                modules=['layer4'],
                optimizers='shared',
                update='iteration',
            ),
        },
    ),
    # Mixed precision.
    'gradsplit_mixed': Case(DEMO, PERSONS, 22, {'optim_wrapper.base': MIXED}),
    'uw_mixed': Case(SCENES, ROOMS, 23, {**_weighting('torchjd.UW'), 'optim_wrapper.base': MIXED}),
}
# The same as others, but resumed in another process, or in two processes together.
CASES |= {
    'gradsplit_step_resumed': replace(CASES['gradsplit_step'], stop=2),
    'amtl_resumed': replace(CASES['amtl'], stop=2),
    'gradsplit_step_two_processes': replace(
        CASES['gradsplit_step'], epochs=2, iterations=4, processes=2
    ),
    'uw_two_processes': replace(CASES['uw'], epochs=2, iterations=4, processes=2),
}
RESUMED = {name: name.removesuffix('_resumed') for name, case in CASES.items() if case.stop}

SIZES = {
    PERSONS: dict(
        attribute_train=48, attribute_val=4, attribute_test=4, reid_train_ids=4, reid_test_ids=1,
        images_per_id=12, distractors=1, pose_train=48, pose_val=4, parsing_train=48,
        parsing_val=4,
    ),
    ROOMS: dict(train=48, val=8),
}  # fmt: skip


def _settings(case: Case, folder: Path) -> dict[str, Any]:
    """What the data of a case sets in the config: where they are, and small batches."""
    here = dict(num_workers=0, persistent_workers=False)
    if case.data == PERSONS:
        sets = dict(attribute='pa100k', reid='market1501', pose='mpii', parsing='lip')
        loaders: dict[str, dict[str, Any]] = {
            task: dict(here, batch_size=4, dataset=dict(data_root=str(folder / name)))
            for task, name in sets.items()
        }
        loaders['reid']['sampler'] = dict(batch_size=4, num_instances=2)
        schedule = [
            dict(type='LinearLR', start_factor=0.1, begin=0, end=5, by_epoch=False),
            dict(type='CosineAnnealingLR', T_max=15, begin=5, end=20, by_epoch=False),
        ]
        return dict(train_dataloader=loaders, param_scheduler=schedule)
    if case.data == ROOMS:
        loader = dict(here, batch_size=4, dataset=dict(data_root=str(folder)))
        tasks = ('seg', 'depth', 'normal')
        return {
            'train_dataloader': loader,
            'val_dataloader': dict.fromkeys(tasks, loader),
        }
    return {'train_dataloader': dict(here, dataset=dict(data_root=str(folder)))}


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('action', choices=['record', 'compare', 'train'], metavar='record|compare')
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
    # Of 'train', the process of one training.
    parser.add_argument('--work-dir', help=argparse.SUPPRESS)
    parser.add_argument('--epochs', type=int, help=argparse.SUPPRESS)
    parser.add_argument('--resume', action='store_true', help=argparse.SUPPRESS)
    return parser.parse_args()


def train_case(args: argparse.Namespace) -> None:
    """Train a case in this process, and write the losses and the weights' hash."""
    # Here, as the process that starts the others can do without.
    from mmengine.config import Config
    from mmengine.dist import get_rank
    from mmengine.hooks import Hook
    from mmengine.model import is_model_wrapper
    from mmengine.registry import HOOKS

    import mmgradsplit
    from mmgradsplit.apis import stop_processes, train

    if Path(mmgradsplit.__file__).resolve().parents[1] != ROOT:
        raise RuntimeError(f'mmgradsplit is that of {mmgradsplit.__file__}, not that of {ROOT}')
    losses: list[dict[str, str]] = []

    @HOOKS.register_module()
    class TrajectoryHook(Hook):
        """Keeps the losses of every iteration."""

        def after_train_iter(
            self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
        ) -> None:
            losses.append(
                {
                    name: float(value).hex()
                    for name, value in outputs.items()
                    if name.rpartition('/')[2].startswith('loss')
                }
            )

    (name,) = args.cases
    case = CASES[name]
    # Without laying it out as code, which takes seconds.
    cfg = Config.fromfile(ROOT / 'configs' / case.config, format_python_code=False)
    cfg.custom_hooks = []
    cfg.merge_from_dict(_settings(case, args.coco if case.data == COCO else args.data / case.data))
    cfg.merge_from_dict(
        {
            'train_cfg.max_epochs': args.epochs,
            'train_cfg.iters_per_epoch': case.iterations,
            'randomness': dict(seed=case.seed),
            'visualizer.vis_backends': [dict(type='LocalVisBackend')],
        }
    )
    if not case.stop:
        cfg.default_hooks.checkpoint.update(interval=args.epochs + 1, save_last=False)
    cfg.custom_hooks.append(dict(type='mmengine.TrajectoryHook'))
    runner = train(
        cfg,
        work_dir=args.work_dir,
        resume='auto' if args.resume else None,
        validate=case.validate,
        cfg_options=copy.deepcopy(case.options),  # merging uses up a '_delete_'
        launcher='pytorch' if case.processes > 1 else 'none',
    )
    if get_rank() == 0:
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        args.file.write_text(json.dumps(dict(losses=losses, weights=hash_weights(model))))
        del model
    del runner
    stop_processes()


def hash_weights(model: Any) -> str:
    """SHA-256 of the names and bytes of the network's state.

    Args:
        model: A ``MultiTaskModel``, of which the backbone and the tasks count, or another model.
    """
    several = type(model).__name__ == 'MultiTaskModel'
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        if not several or name.startswith(('backbone.', 'tasks.')):
            digest.update(name.encode())
            digest.update(value.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def run_case(name: str, data: Path, coco: Path) -> Recorded:
    """Train a case in processes of its own.

    Args:
        name: Name of the case.
        data: Folder of the drawn data.
        coco: Folder of the COCO images.

    Returns:
        ``losses``, a dict for each iteration, ``weights``, the hash, and ``seconds``.

    Raises:
        RuntimeError: If a process fails.
    """
    case, start = CASES[name], time.perf_counter()
    losses: list[dict[str, str]] = []
    result: Recorded = {}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, 'trajectory.json')
        for part, epochs in enumerate(filter(None, (case.stop, case.epochs))):
            arguments = [
                __file__, 'train', out, '--cases', name, '--data', data, '--coco', coco,
                '--work-dir', Path(folder, 'work'), '--epochs', epochs,
            ]  # fmt: skip
            if part:
                arguments.append('--resume')
            if case.processes > 1:
                distributed = ['--nproc_per_node', case.processes, '--master_port', _free_port()]
                arguments = ['-m', 'torch.distributed.run', *distributed, *arguments]
            _python(*arguments)
            result = json.loads(out.read_text())
            losses += result['losses']
    if len(losses) != case.epochs * case.iterations:
        raise RuntimeError(f'{name}: losses of {len(losses)} iterations')
    return dict(result, losses=losses, seconds=round(time.perf_counter() - start, 1))


def _free_port() -> int:
    with socket.socket() as place:
        place.bind(('127.0.0.1', 0))
        return place.getsockname()[1]


def _python(*arguments: Any) -> None:
    """Run Python with this project's code, on one thread of the CPU.

    Raises:
        RuntimeError: If it fails, with the end of what it said.
    """
    one = dict.fromkeys(('OMP_NUM_THREADS', 'MKL_NUM_THREADS', 'OPENBLAS_NUM_THREADS'), '1')
    path = os.pathsep.join(filter(None, (str(ROOT), os.getenv('PYTHONPATH'))))
    result = subprocess.run(
        [sys.executable, *map(str, arguments)],
        env=dict(os.environ, **one, PYTHONPATH=path, CUDA_VISIBLE_DEVICES=''),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors='replace',
    )
    if result.returncode:
        raise RuntimeError(result.stdout[-3000:])


def make_data(folder: Path) -> None:
    """Draw the data where they are absent."""
    for kind, sizes in SIZES.items():
        options = [
            part for key, size in sizes.items() for part in (f'--{key.replace("_", "-")}', size)
        ]
        _python(ROOT / f'tools/dataset_converters/{kind}.py', '--out', folder / kind, *options)


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
    if args.action == 'train':
        train_case(args)
        return
    make_data(args.data)
    good = record(args) if args.action == 'record' else compare(args)
    sys.exit(0 if good else 1)


if __name__ == '__main__':
    main()
