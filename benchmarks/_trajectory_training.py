"""Trains one case of the trajectories in this process: a script that ``trajectories.py`` starts."""

import argparse
import copy
import hashlib
import json
from pathlib import Path
from typing import Any

from _trajectory_cases import CASES
from _trajectory_data import settings
from _trajectory_processes import ROOT
from mmengine.config import Config
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

import mmgradsplit
from mmgradsplit.apis import stop_processes, train
from mmgradsplit.utils import unwrapped


@HOOKS.register_module()
class TrajectoryHook(Hook):
    """Keeps the losses of every iteration."""

    def __init__(self) -> None:
        self.losses: list[dict[str, str]] = []

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Keep those of one iteration."""
        self.losses.append(
            {
                name: float(value).hex()
                for name, value in outputs.items()
                if name.rpartition('/')[2].startswith('loss')
            }
        )


def parse_args() -> argparse.Namespace:
    """Parse what the process that starts this one says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('case', choices=CASES)
    parser.add_argument('file', type=Path, help='JSON file for the trajectory')
    parser.add_argument('--data', type=Path, help='folder of the drawn data')
    parser.add_argument('--coco', type=Path, help='folder of the COCO images')
    parser.add_argument('--work-dir', help='of the training')
    parser.add_argument('--epochs', type=int, help='after which the training ends')
    parser.add_argument('--resume', action='store_true', help='go on with the work dir')
    return parser.parse_args()


def train_case(args: argparse.Namespace) -> None:
    """Train a case in this process, and write the losses and the weights' hash."""
    if Path(mmgradsplit.__file__).resolve().parents[1] != ROOT:
        raise RuntimeError(f'mmgradsplit is that of {mmgradsplit.__file__}, not that of {ROOT}')
    case = CASES[args.case]
    # Without laying it out as code, which takes seconds.
    cfg = Config.fromfile(ROOT / 'configs' / case.config, format_python_code=False)
    cfg.custom_hooks = []
    cfg.merge_from_dict(settings(case, args.data, args.coco))
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
        model = unwrapped(runner.model)
        losses = next(hook.losses for hook in runner.hooks if isinstance(hook, TrajectoryHook))
        args.file.write_text(json.dumps(dict(losses=losses, weights=hash_weights(model))))


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


if __name__ == '__main__':
    train_case(parse_args())
    stop_processes()
