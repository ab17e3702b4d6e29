"""Latency of one graph of all tasks, against a graph for each task and against eager PyTorch.

The network of the config, with random weights, is exported once with all tasks and once for each
task alone, as the single-task networks would be. onnxruntime runs them in turns on the CPU, so that
a noisy machine slows all of them; the table gives medians, and ratios to the one graph.

Example:
    python benchmarks/graph.py configs/gradsplit/r50gn_4task.py --batch-sizes 1 16 --repeats 5
"""

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from _shared import Times, device, ratio, take_turns
from mmengine.config import DictAction
from mmengine.registry import init_default_scope
from mmengine.runner import save_checkpoint
from rich.console import Console

from mmgradsplit.apis import load_model
from mmgradsplit.apis.preparation import prepare
from mmgradsplit.export import TaskGraph, export_graph
from mmgradsplit.export.graph import INPUT
from mmgradsplit.registry import MODELS
from mmgradsplit.utils.tables import TextTable

ONE, EAGER = 'one graph, all tasks', 'eager PyTorch, all tasks'


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', help='a multi-task config')
    parser.add_argument('--size', nargs=2, type=int, default=(128, 256), metavar=('W', 'H'))
    parser.add_argument('--batch-sizes', nargs='+', type=int, default=[1, 16])
    parser.add_argument('--repeats', type=int, default=10, help='timed calls of each')
    parser.add_argument('--threads', type=int, default=torch.get_num_threads())
    parser.add_argument('--out', help='JSON file for the numbers')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction)
    return parser.parse_args()


def save_network(config: str, file: Path, cfg_options: dict | None = None) -> list[str]:
    """A checkpoint of the config's network as it starts without any download; its tasks."""
    cfg = prepare(config, file.parent, cfg_options)
    init_default_scope(cfg.default_scope)
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    save_checkpoint(dict(meta=dict(cfg=cfg.pretty_text), state_dict=model.state_dict()), str(file))
    return list(model.tasks)


def session_of(file: Path, threads: int) -> onnxruntime.InferenceSession:
    """Onnxruntime on so many threads of the CPU."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(str(file), options, providers=['CPUExecutionProvider'])


def steps_of(
    sessions: dict[str, onnxruntime.InferenceSession], eager: TaskGraph, images: np.ndarray
) -> dict[str, Callable[[], None]]:
    """A call of each kind."""
    tensor = torch.from_numpy(images)

    def run_eager() -> None:
        with torch.no_grad():
            eager(tensor)

    def run(session: onnxruntime.InferenceSession) -> Callable[[], None]:
        return lambda: session.run(None, {INPUT: images})

    return {**{kind: run(session) for kind, session in sessions.items()}, EAGER: run_eager}


def table_of(times: dict[int, Times], singles: list[str]) -> TextTable:
    """Medians in milliseconds, and how often one graph would have run in the meantime."""
    columns = ['', *(f'{batch}: {what}' for batch in times for what in ('ms', 'ratio'))]
    kinds = [ONE, *singles, 'a graph for each task', EAGER]
    rows = []
    for kind in kinds:
        row = [kind]
        for of_batch in times.values():
            seconds = of_batch.get(kind) or [
                sum(parts) for parts in zip(*(of_batch[each] for each in singles), strict=True)
            ]
            row.append(f'{1000 * statistics.median(seconds):.1f}')
            row.append(f'{ratio(seconds, of_batch[ONE]):.2f}')
        rows.append(row)
    return TextTable(columns, rows, words=[''])


def main() -> None:
    """Measure, and print the table."""
    args = parse_args()
    torch.set_num_threads(args.threads)
    size = tuple(args.size)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tasks = save_network(args.config, folder / 'network.pth', args.cfg_options)
        files = {ONE: folder / 'all.onnx'}
        export_graph(folder / 'network.pth', files[ONE], size=size)
        singles = [f'{task} alone' for task in tasks]
        for task, kind in zip(tasks, singles, strict=True):
            files[kind] = folder / f'{task}.onnx'
            export_graph(folder / 'network.pth', files[kind], size=size, tasks=[task])
        sessions = {kind: session_of(file, args.threads) for kind, file in files.items()}
        eager = TaskGraph(load_model(None, folder / 'network.pth', 'cpu'), tasks).eval()
    rng = np.random.default_rng(0)
    times = {}
    for batch in args.batch_sizes:
        images = rng.integers(0, 256, (batch, 3, size[1], size[0]), dtype=np.uint8)
        times[batch] = take_turns(steps_of(sessions, eager, images), args.repeats)
    table = table_of(times, singles)
    table.show(Console())
    print(f'{device()}, {args.threads} threads, images of {size[0]} x {size[1]}')
    if args.out:
        Path(args.out).write_text(json.dumps(times, indent=2) + '\n')


if __name__ == '__main__':
    main()
