"""How fast the pictures of each task load on one core, where the time goes, and the workers needed.

The training pipelines of a config run in this process, one transform after another, on the first
samples of their data sets. The pictures of a data set that was drawn can be made as large as those
of a real one: coordinates and label maps follow. Times are those of the processor. The last columns
say how many worker processes keep one GPU busy that takes so long for a major iteration.

Example:
    python benchmarks/loading.py configs/gradsplit/r50gn_4task.py --iteration-seconds 0.5 \
        --sizes pose=1280x720 parsing=200x350
"""

import argparse
import copy
import json
import math
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from _shared import device
from mmengine.config import Config, DictAction
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope

from mmgradsplit.apis.preparation import prepare
from mmgradsplit.engine.loops.packing import PackedBatch
from mmgradsplit.registry import DATASETS
from mmgradsplit.utils import seed_all
from mmgradsplit.utils.tables import TextTable

COORDINATES = ('bbox', 'bbox_center', 'bbox_scale', 'keypoints')
FILES = ('img_path', 'seg_map_path', 'depth_map_path', 'disparity_map_path', 'normal_map_path')
REST = 'the rest'
Rows = dict[str, dict[str, Any]]


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', help='a multi-task config, joint or round-robin')
    parser.add_argument(
        '--sizes', nargs='+', default=[], metavar='TASK=WxH', help='size that pictures are given'
    )
    parser.add_argument('--samples', type=int, default=12, help='of each data set')
    parser.add_argument('--repeats', type=int, default=5, help='times that each is loaded')
    parser.add_argument('--batch-size', type=int, help='of every data set (default: the config)')
    parser.add_argument(
        '--iteration-seconds', type=float, default=0.5, help='of a major iteration on the GPU'
    )
    parser.add_argument('--out', help='JSON file for the numbers')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction)
    return parser.parse_args()


def enlarged(results: dict[str, Any], size: tuple[int, int] | None, folder: Path) -> dict[str, Any]:
    """What a data set gives of a sample, with files of another size.

    Args:
        results: What the pipeline begins with.
        size: Width and height; None leaves it as it is.
        folder: Where the files go.
    """
    if size is None:
        return results
    factors = None
    for key in (key for key in FILES if results.get(key)):
        path = Path(results[key])
        whole = np.load(path) if path.suffix == '.npy' else cv2.imread(str(path), -1)
        if key == 'img_path':
            factors = np.array(size) / whole.shape[1::-1]
        target = folder / f'{len(list(folder.iterdir()))}{path.suffix}'
        smooth = cv2.INTER_CUBIC if key == 'img_path' else cv2.INTER_NEAREST
        large = cv2.resize(whole, size, interpolation=smooth)
        if path.suffix == '.npy':
            np.save(target, large)
        else:
            assert cv2.imwrite(str(target), large)
        results[key] = str(target)
    for key in COORDINATES:
        if results.get(key) is not None and factors is not None:
            pairs = np.asarray(results[key], np.float32)
            repeat = pairs.shape[-1] // 2
            results[key] = (pairs * np.tile(factors, repeat)).astype(np.float32)
    return results


def load_times(dataset: Any, samples: list[dict[str, Any]], repeats: int) -> dict[str, float]:
    """Milliseconds of a sample by transform: medians over the repeats, the first left out."""
    rounds: dict[str, list[float]] = defaultdict(list)
    for repeat in range(repeats + 1):
        taken: dict[str, float] = defaultdict(float)
        packed = []
        for number, sample in enumerate(samples):
            results: Any = copy.deepcopy(sample)
            seed_all(repeat * len(samples) + number)
            for transform in dataset.pipeline.transforms:
                start = time.process_time()
                results = transform(results)
                taken[type(transform).__name__] += time.process_time() - start
            packed.append(results)
        start = time.process_time()
        for number in range(len(samples)):
            dataset.get_data_info(number)
        PackedBatch.of(pseudo_collate(packed))
        taken[REST] += time.process_time() - start
        for name, seconds in taken.items() if repeat else ():
            rounds[name].append(1000 * seconds / len(samples))
    return {name: statistics.median(values) for name, values in rounds.items()}


def measure(cfg: Config, args: argparse.Namespace) -> Rows:
    """A row for each data set that is trained on."""
    sizes = dict(each.split('=') for each in args.sizes)
    loaders: Mapping[str, Any] = cfg.train_dataloader
    if 'dataset' in loaders:
        loaders = dict(joint=loaders)
    unknown = set(sizes) - set(loaders)
    if unknown:
        raise SystemExit(f'--sizes: no data set {sorted(unknown)}, only {list(loaders)}')
    rows: Rows = {}
    for task, loader in loaders.items():
        dataset = DATASETS.build(loader.dataset)
        size = tuple(map(int, sizes[task].split('x'))) if task in sizes else None
        with tempfile.TemporaryDirectory() as folder:
            infos = [dataset.get_data_info(i) for i in range(min(args.samples, len(dataset)))]
            samples = [enlarged(info, size, Path(folder)) for info in infos]  # type: ignore[arg-type]
            times = load_times(dataset, samples, args.repeats)
            shape = cv2.imread(samples[0]['img_path']).shape
        each = sum(times.values())
        wanted = (args.batch_size or loader.get('batch_size', 1)) / args.iteration_seconds
        rows[task] = dict(
            size=f'{shape[1]}x{shape[0]}',
            milliseconds=each,
            rate=1000 / each,
            transforms=times,
            wanted=wanted,
            workers=math.ceil(wanted * each / 1000),
        )
    return rows


def report(args: argparse.Namespace, rows: Rows) -> None:
    """Print the table, and write the numbers where asked."""
    columns = ['task', 'pictures', 'samples/s', 'wanted', 'workers', 'where the time goes']
    lines = []
    for task, row in rows.items():
        largest = sorted(row['transforms'].items(), key=lambda item: -item[1])[:4]
        where = ', '.join(f'{name} {value / row["milliseconds"]:.0%}' for name, value in largest)
        numbers = [f'{row["rate"]:.0f}', f'{row["wanted"]:.0f}', str(row['workers'])]
        lines.append([task, row['size'], *numbers, where])
    print(TextTable(columns, lines, words=['task', 'pictures', columns[-1]]).markdown())
    print(f'together {sum(row["workers"] for row in rows.values())} workers')
    if args.out:
        content = dict(rows=rows, device=device(), settings=vars(args))
        Path(args.out).write_text(json.dumps(content, indent=1))


def main() -> None:
    """Measure, and print the table."""
    args = parse_args()
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    cfg = prepare(args.config, cfg_options=args.cfg_options)
    init_default_scope('mmgradsplit')
    report(args, measure(cfg, args))


if __name__ == '__main__':
    main()
