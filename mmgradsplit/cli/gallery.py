"""``mmgradsplit gallery``: find the same person again in a folder of pictures."""

import argparse
import sys

from .options import add_cfg_options, add_checkpoint, add_device, add_overwrite, add_passes

DESCRIPTION = (
    'Find the same person again: build a gallery of the embeddings of pictures, and query it for '
    'the nearest ones.'
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    actions = parser.add_subparsers(dest='action', metavar='ACTION', required=True)
    build = actions.add_parser(
        'build',
        help='embed pictures',
        description='Embed pictures into a gallery. One that was stopped goes on where it was, and '
        'a finished one takes the pictures that it has not yet.',
    )
    add_checkpoint(build)
    build.add_argument(
        'pictures',
        nargs='+',
        help="folders, pictures, or patterns such as 'photos/**/*.jpg'",
    )
    build.add_argument('--out', default='gallery', metavar='DIR', help='folder of the gallery')
    build.add_argument(
        '--task', help='the task whose result is the embedding (default: the only one of this kind)'
    )
    add_passes(build, 'own')
    query = actions.add_parser(
        'query',
        help='find the nearest pictures of a gallery',
        description='Find the pictures of a gallery that are nearest to each query.',
    )
    add_checkpoint(query)
    query.add_argument('gallery', help='folder of a gallery')
    query.add_argument('images', nargs='+', help='pictures, folders, patterns or videos')
    query.add_argument('--top', type=int, default=10, help='number of matches (default 10)')
    query.add_argument(
        '--out', metavar='DIR', help='folder for matches.jsonl and a picture of each query'
    )
    add_overwrite(build, 'begin anew where there is a gallery')
    add_overwrite(query)
    for each in (build, query):
        each.add_argument(
            '--batch-size', type=int, default=32, help='pictures of a batch (default 32)'
        )
        add_device(each)
        add_cfg_options(each)


def run(args: argparse.Namespace) -> None:
    """Build or query."""
    from rich.console import Console

    from mmgradsplit.inference import (
        Gallery,
        MultiTaskInferencer,
        build_gallery,
        find_matches,
        query_to_folder,
    )

    gallery = Gallery(args.gallery) if args.action == 'query' else None
    inferencer = MultiTaskInferencer(args.config, args.checkpoint, args.device, args.cfg_options)
    common = dict(batch_size=args.batch_size, progress=sys.stderr.isatty())
    if gallery is None:
        gallery = build_gallery(
            inferencer,
            args.pictures,
            args.out,
            task=args.task,
            passes=args.passes,
            size=args.size,
            overwrite=args.overwrite,
            **common,
        )
        broken = len(inferencer.failures)
        print(
            f'The gallery {gallery.folder} has {len(gallery)} pictures'
            + (f'; {broken} could not be read.' if broken else '.')
        )
        return
    common['top'] = args.top
    if args.out:
        found = query_to_folder(
            inferencer, gallery, args.images, args.out, overwrite=args.overwrite, **common
        )
    else:
        found = find_matches(inferencer, gallery, args.images, **common)
    for matches in found:
        matches.table().show(Console())
