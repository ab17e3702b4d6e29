"""``mmgradsplit export``: hand a trained network on."""

import argparse

DESCRIPTION = (
    'Write one task of a checkpoint as config and checkpoint of its own toolbox (mmpose, mmseg, '
    'mmpretrain or mmdet), whose tools run them where mmgradsplit is not installed.'
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument('checkpoint', help='checkpoint file of a multi-task network')
    parser.add_argument('--task', required=True, help='name of the task')
    parser.add_argument('--to', required=True, metavar='DIR', help='folder to write')
    parser.add_argument(
        '--config', help='config of the network (default: the one that the checkpoint holds)'
    )


def run(args: argparse.Namespace) -> None:
    """Export."""
    from mmgradsplit.export import export_task

    exported = export_task(args.checkpoint, args.task, args.to, args.config)
    print(f'{exported.config}\n{exported.checkpoint}')
    for note in exported.notes:
        print(f'note: {note}')
