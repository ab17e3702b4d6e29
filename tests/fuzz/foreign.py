"""Hands foreign checkpoints to all that reads one: each is refused, naming what does not fit.

``python -m tests.fuzz.foreign`` makes 30 of them, of other backbones, widths, norms, tasks and
heads, and of no network at all, and gives each to testing, prediction, the start of a training and
``--resume``.
"""

import argparse
import contextlib
import copy
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

sys.path[:0] = [str(Path(__file__).parents[1])]

from fixtures_training import GN, named, quick, run, tiny_config, write_data  # noqa: E402
from mmengine.config import Config  # noqa: E402

from mmgradsplit.apis import evaluate, load_model  # noqa: E402
from mmgradsplit.apis.preparation import prepare  # noqa: E402
from mmgradsplit.registry import MODELS  # noqa: E402

TASKS = ('attribute', 'parsing')
BN = dict(type='BN', _delete_=True)


def _weights(**options: Any) -> Callable[[Path], dict[str, Any]]:
    """Weights of the network with other keys in its config."""

    def make(data: Path) -> dict[str, Any]:
        chosen = options.get('tasks', TASKS)
        cfg = tiny_config(
            data, chosen, **{k: copy.deepcopy(v) for k, v in options.items() if k != 'tasks'}
        )
        return MODELS.build(prepare(cfg, 'unused').model).state_dict()

    return make


def _changed(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], Any]:
    """Weights of the network itself, changed."""
    return lambda data: change(_weights()(data))


def _without(part: str) -> Callable[[dict[str, Any]], Any]:
    return lambda of: {name: value for name, value in of.items() if part not in name}


FOREIGN: dict[str, Callable[[Path], Any]] = {
    # Other backbones, widths and norms.
    'deeper': _weights(model__backbone__depth=34),
    'bottlenecks': _weights(model__backbone__depth=50),
    'wider': _weights(model__backbone__base_channels=16),
    'wider stem': _weights(model__backbone__stem_channels=16),
    'batch norms': _weights(model__backbone__norm_cfg=BN),
    'group norms in the stem of another shape': _weights(
        model__backbone__type='mmpretrain.ResNetV1d'
    ),
    'another family': _weights(
        model__backbone=dict(
            type='mmpretrain.ResNeXt', depth=50, base_channels=8, norm_cfg=GN, out_indices=(3,),
            _delete_=True,
        )
    ),
    # Other tasks and heads.
    'one task of two': _weights(tasks=('attribute',)),
    'the other task': _weights(tasks=('parsing',)),
    'a task of another name': _changed(
        lambda of: {name.replace('.parsing.', '.parts.'): value for name, value in of.items()}
    ),
    'tasks that are not here': _weights(tasks=('reid', 'pose')),
    'another number of classes': _weights(model__tasks__parsing__decode_head__num_classes=9),
    'another number of attributes': _weights(model__tasks__attribute__head__num_classes=9),
    'a wider head': _weights(model__tasks__parsing__decode_head__channels=16),
    'other scales': _weights(model__tasks__parsing__decode_head__pool_scales=(1, 2, 3)),
    'a head with batch norms': _weights(model__tasks__parsing__decode_head__norm_cfg=BN),
    # Parts, and other names.
    'the backbone alone': _changed(
        lambda of: {n[9:]: v for n, v in of.items() if n.startswith('backbone.')}
    ),
    'no backbone': _changed(_without('backbone')),
    'a stage is missing': _changed(_without('layer4')),
    'a tensor is missing': _changed(_without('backbone.conv1.weight')),
    'a tensor more': _changed(lambda of: {**of, 'backbone.fc.weight': torch.zeros(3, 64)}),
    'another prefix': _changed(lambda of: {f'student.{name}': v for name, v in of.items()}),
    'names of before': _changed(lambda of: {n.replace('.', '_'): v for n, v in of.items()}),
    'transposed': _changed(lambda of: {n: v.transpose(0, -1) for n, v in of.items()}),
    'flat': _changed(lambda of: {name: value.flatten() for name, value in of.items()}),
    # No network at all.
    'nothing': lambda _: {},
    'an optimizer': lambda _: {'state': {}, 'param_groups': []},
    'texts': lambda _: {'backbone.conv1.weight': 'ones'},
    'numbers': lambda _: {'backbone.conv1.weight': 1.0},
    'a list': lambda _: [torch.zeros(3)],
}  # fmt: skip


def _test(cfg: Config, file: Path, folder: Path) -> None:
    with quick():
        evaluate(named(cfg), file, work_dir=folder)


def _start(cfg: Config, file: Path, folder: Path) -> None:
    cfg.load_from = str(file)
    run(cfg, folder)


def _resume(cfg: Config, file: Path, folder: Path) -> None:
    run(cfg, folder, resume=file)


READERS: dict[str, Callable[[Config, Path, Path], Any]] = dict(
    predict=lambda cfg, file, _: load_model(cfg, file, 'cpu'),
    test=_test,
    start=_start,
    resume=_resume,
)


def base(data: Path) -> Config:
    """The network into which they do not fit."""
    cfg = tiny_config(data, TASKS, log_level='ERROR')
    cfg.test_dataloader, cfg.test_evaluator = cfg.val_dataloader, cfg.val_evaluator
    cfg.test_cfg = dict(type='MultiTaskTestLoop')
    return cfg


def try_foreign(name: str, reader: str, data: Path, folder: Path) -> str:
    """Hand a foreign checkpoint to a reader.

    Args:
        name: Of the checkpoint.
        reader: One of :data:`READERS`.
        data: Folder of the data.
        folder: To work in.

    Returns:
        What the error says; ``'SILENT'`` if there is none.
    """
    content = FOREIGN[name](data)
    file = folder / 'foreign.pth'
    whole = isinstance(content, dict) and reader == 'resume'
    meta = dict(epoch=1, iter=3)
    torch.save(dict(state_dict=content, meta=meta) if whole else content, file)
    try:
        READERS[reader](base(data), file, folder / name.replace(' ', '_') / reader)
    except ValueError as error:
        return str(error)
    return 'SILENT'


def main() -> None:
    """Try all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--readers', nargs='+', choices=[*READERS], default=[*READERS])
    args = parser.parse_args()
    torch.set_num_threads(1)
    bad = []
    with tempfile.TemporaryDirectory() as folder:
        data = write_data(Path(folder, 'data'))
        for name in FOREIGN:
            for reader in args.readers:
                said = f'{reader}: it ended otherwise'
                with contextlib.suppress(AssertionError):
                    said = try_foreign(name, reader, data, Path(folder))
                if 'foreign.pth' not in said:
                    bad.append((name, reader))
                print(f'{name}, {reader}: {said[-260:]}', flush=True)
    print(f'{len(FOREIGN)} checkpoints, {len(args.readers)} readers; not named: {bad}')
    sys.exit(bool(bad))


if __name__ == '__main__':
    main()
