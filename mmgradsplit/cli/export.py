"""``mmgradsplit export``: hand a trained network on."""

import argparse

from .options import add_trust

DESCRIPTION = (
    'Write a checkpoint for use without mmgradsplit: tasks as config and checkpoint of their own '
    'toolbox (mmpose, mmseg, mmpretrain, mmdet), or all tasks as one graph for ONNX runtimes or '
    'torch.export.'
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument('checkpoint', help='checkpoint file of a multi-task network')
    add_trust(parser)
    parser.add_argument('--task', dest='tasks', nargs='+', help='names of tasks (default: all)')
    parser.add_argument(
        '--to', required=True, metavar='PATH', help='folder for toolbox models, file for a graph'
    )
    parser.add_argument(
        '--format',
        dest='kind',
        choices=['toolbox', 'onnx', 'pt2'],
        default='toolbox',
        help='what to write (default: %(default)s)',
    )
    parser.add_argument(
        '--config', help='config of the network (default: the one that the checkpoint holds)'
    )
    graph = parser.add_argument_group('graphs')
    graph.add_argument(
        '--size',
        nargs=2,
        type=int,
        metavar=('W', 'H'),
        help="size of the images (default: that of the first task's validation)",
    )
    graph.add_argument(
        '--normalised',
        action='store_true',
        help='the graph takes normalised images in place of uint8 pictures in RGB',
    )
    graph.add_argument(
        '--dynamic-size', action='store_true', help='the size is free, where the heads allow it'
    )


def run(args: argparse.Namespace) -> None:
    """Export."""
    if args.kind == 'toolbox':
        if args.size or args.normalised or args.dynamic_size:
            raise ValueError('--size, --normalised and --dynamic-size are for --format onnx or pt2')
        from mmgradsplit.export import export_tasks

        for exported in export_tasks(args.checkpoint, args.tasks, args.to, args.config):
            print(f'{exported.config}\n{exported.checkpoint}')
            for note in exported.notes:
                print(f'note: {note}')
        return
    from mmgradsplit.export import export_graph

    graph = export_graph(
        args.checkpoint,
        args.to,
        kind=args.kind,
        tasks=args.tasks,
        size=args.size and tuple(args.size),
        normalised=args.normalised,
        dynamic_size=args.dynamic_size,
        config=args.config,
    )
    print(graph.file)
    for name, shape in graph.outputs.items():
        print(f'{name}: N x {" x ".join(map(str, shape))}, off by {graph.difference[name]:.1e}')
