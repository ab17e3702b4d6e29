"""Which networks become one ONNX graph, how far its outputs are from PyTorch's, and how fast it is.

Each config's network, with random weights, is exported with all of its tasks by the code of
``mmgradsplit export --format onnx``, which compares every output with the network's own. Then
onnxruntime and eager PyTorch run it in turns on one image.

Example:
    python benchmarks/exported_graphs.py gradsplit/r50gn_4task.py multihead/r50tbn_4task.py
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from _shared import device, ratio, take_turns
from graph import EAGER, ONE, save_network, session_of, steps_of
from rich.console import Console

from mmgradsplit.apis import load_model
from mmgradsplit.export import TaskGraph, export_graph
from mmgradsplit.utils.tables import TextTable

COLUMNS = ['network', 'task', 'largest difference', 'PyTorch / graph']


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('configs', nargs='+', help='multi-task configs')
    parser.add_argument(
        '--size', nargs=2, type=int, metavar=('W', 'H'), help="by default the first validation's"
    )
    parser.add_argument('--repeats', type=int, default=5, help='timed calls of each')
    parser.add_argument('--threads', type=int, default=torch.get_num_threads())
    return parser.parse_args()


def rows_of(config: str, args: argparse.Namespace) -> list[list[str]]:
    """The rows of one network: its tasks' differences, and one speed for all of them."""
    with tempfile.TemporaryDirectory() as name:
        checkpoint, file = Path(name) / 'network.pth', Path(name) / 'network.onnx'
        tasks = save_network(config, checkpoint)
        try:
            exported = export_graph(checkpoint, file, size=args.size)
        except ValueError as error:
            return [[config, 'all', str(error), '']]
        model = load_model(None, checkpoint, 'cpu')
        width, height = args.size or model.input_size
        images = np.random.default_rng(0).integers(0, 256, (1, 3, height, width), dtype=np.uint8)
        graph = TaskGraph(model, tasks).eval()
        sessions = {ONE: session_of(file, args.threads)}
        times = take_turns(steps_of(sessions, graph, images), args.repeats)
    speed = f'{ratio(times[EAGER], times[ONE]):.2f}'
    rows = []
    for task in tasks:
        own = [value for key, value in exported.difference.items() if key.startswith(f'{task}/')]
        rows.append([config, task, f'{max(own):.1e}', speed])
    return rows


def main() -> None:
    """Export each network, and print the table."""
    args = parse_args()
    torch.set_num_threads(args.threads)
    rows = [row for each in args.configs for row in rows_of(each, args)]
    TextTable(COLUMNS, rows, words=COLUMNS[:2]).show(Console(width=160))
    print(f'{device()}, {args.threads} threads, one image')


if __name__ == '__main__':
    main()
