"""Writes model-index.yml and every folder's metafile.yml, from the configs and configs/README.md.

OpenMMLab's tools, such as mim, find configs by these files: each config with its paper, the
parameters and multiply-accumulates that we measure, and the paper's figures, which are those of
the tables in configs/README.md. To be called after a config or a row has changed; a test compares.
"""

import argparse
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import mmengine
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmgradsplit.analysis import measure_complexity
from mmgradsplit.apis.preparation import prepare
from mmgradsplit.config_files import config_names
from mmgradsplit.registry import MODELS

ROOT = Path(__file__).resolve().parent.parent
# The collection that a folder defines: its name, and the paper's title and address. Other folders'
# configs are GradSplit's.
PAPERS = {
    'gradsplit': (
        'GradSplit',
        'Split to Learn: Gradient Split for Multi-Task Human Image Analysis',
        'https://doi.org/10.1109/WACV56688.2023.00433',
    ),
    'sta': (
        'STA',
        'On Steering Multi-Annotations per Sample for Multi-Task Learning',
        'https://arxiv.org/abs/2203.02946',
    ),
    'amtl': (
        'AMTL',
        'Achievement-based Training Progress Balancing for Multi-Task Learning',
        'https://openaccess.thecvf.com/content/ICCV2023/html/Yun_Achievement-Based_Training_'
        'Progress_Balancing_for_Multi-Task_Learning_ICCV_2023_paper.html',
    ),
}
DATA = {
    'pa100k': 'PA-100K',
    'market1501': 'Market-1501',
    'mpii': 'MPII',
    'lip': 'LIP',
    'pedestrians': 'drawn pedestrians',
    'digits': 'MNIST on CIFAR-10',
    'nyud_mt': 'NYUv2',
    'nyu': 'NYUv2',
    'nyuv2': 'NYUv2',
    'scenes': 'drawn scenes',
    'cityscapes': 'Cityscapes',
    'coco': 'COCO',
    'coco_sample': 'four images of COCO',
    'VOCdevkit': 'PASCAL VOC',
}
# Where neither the config nor data that are always there say the size of an image.
SIZES = {'digits': (64, 64), 'scenes': (120, 160), 'nyuv2': (288, 384)}
TASKS = {
    'attribute': 'Pedestrian Attribute Recognition',
    'reid': 'Person Re-Identification',
    'pose': 'Body 2D Keypoint',
    'parsing': 'Human Parsing',
    'digit': 'Digit Classification',
    'photo': 'Image Classification',
    'mask': 'Digit Segmentation',
    'seg': 'Semantic Segmentation',
    'depth': 'Depth Estimation',
    'disparity': 'Disparity Estimation',
    'normal': 'Surface Normal Estimation',
    'det': 'Object Detection',
    'instance': 'Instance Segmentation',
}
MASK_RCNN = ['det', 'instance']  # whose config names no tasks
# Task and metric of each column of the tables; no task: of all tasks together.
COLUMNS = {
    'ReID': ('reid', 'mAP'),
    'ReID mAP': ('reid', 'mAP'),
    'ReID Rank-1': ('reid', 'Rank-1'),
    'attribute': ('attribute', 'MA'),
    'pose': ('pose', 'mean PCKh'),
    'parsing': ('parsing', 'mIoU'),
    'parsing mAcc': ('parsing', 'mAcc'),
    'digit': ('digit', 'accuracy'),
    'photo': ('photo', 'accuracy'),
    'mask': ('mask', 'mIoU'),
    'depth RMSE, m': ('depth', 'RMSE (m)'),
    'disparity L1, px': ('disparity', 'L1 (px)'),
    'segmentation mIoU': ('seg', 'mIoU'),
    'mIoU': ('seg', 'mIoU'),
    'delta1': ('depth', 'delta1'),
    'RMSE, m': ('depth', 'RMSE (m)'),
    'mean angle': ('normal', 'mean angle'),
    '11.25°': ('normal', '11.25°'),
    'box AP': ('det', 'box AP'),
    'box AP50': ('det', 'box AP50'),
    'mask AP': ('instance', 'mask AP'),
    'mask AP50': ('instance', 'mask AP50'),
    'delta_m': ('', 'delta_m'),
    'Acc_MTL': ('', 'Acc_MTL'),
    'Delta_MTL': ('', 'Delta_MTL'),
}
OF_ALL = 'Multi-Task Learning'
CONFIG = re.compile(r'`(\w+/\w+\.py)`')
Figure = tuple[str, str, str, float]  # task, metric, dataset where it is not the config's, value


def tables(text: str) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """The tables of a Markdown text: the heading above, and the cells of each row by column."""
    heading, lines = '', []
    for line in [*text.splitlines(), '']:
        if line.startswith('#'):
            heading = line.lstrip('# ')
        if line.startswith('|'):
            lines.append([cell.strip() for cell in line.strip('|').split('|')])
        elif lines:
            header, _, *rows = lines
            yield heading, [dict(zip(header, row, strict=True)) for row in rows]
            lines = []


def published(text: str) -> dict[str, list[Figure]]:
    """The paper's figures of each config that stands for a row of a table.

    Args:
        text: Of configs/README.md.
    """
    found: dict[str, list[Figure]] = {}
    for heading, rows in tables(text):
        for row in rows:
            for column, cell in row.items():
                if not CONFIG.sub('', cell).strip():  # configs alone, not a command with a config
                    for name in CONFIG.findall(cell):
                        found.setdefault(name, []).extend(_figures(heading, row, column))
    return found


def _figures(heading: str, row: Mapping[str, str], column: str) -> Iterator[Figure]:
    """The figures of a row, for the config in one of its columns."""
    networks = [key for key in row if key in ('single-task', 'uniform', 'AMTL')]
    for key, cell in row.items():
        if key not in COLUMNS:
            continue
        task, metric = COLUMNS[key]
        if networks:  # the cell has the figures of all three networks
            cell = [*cell.split(', '), *'––'][networks.index(column)]
        if 'across data sets' in heading:  # several methods, tested by one config
            metric += f', {row["method"].strip("*")} {row["backbone"]}'
        # The paper's VGG-11 learns its attributes from Market-1501, ours from PA-100K.
        elsewhere = 'Market-1501' if heading == 'Table 5: VGG-11' and task == 'attribute' else ''
        if cell != '–':
            yield task, metric, elsewhere, float(cell)


def results(cfg: Config, figures: list[Figure]) -> list[dict[str, Any]]:
    """The entries of a model's ``Results``, those of its own tasks.

    Args:
        cfg: Its config.
        figures: The paper's figures, which say the same where they repeat each other.

    Raises:
        ValueError: If two figures contradict each other.
    """
    entries: dict[tuple[str, str], dict[str, float]] = {}
    tasks = cfg.get('tasks', MASK_RCNN)
    for task, metric, elsewhere, value in figures:
        if task not in tasks if task else len(tasks) == 1:
            continue
        dataset = elsewhere or ', '.join(datasets(cfg, 'test', [task] if task else tasks))
        metrics = entries.setdefault((TASKS.get(task, OF_ALL), dataset), {})
        if metrics.setdefault(metric, value) != value:
            raise ValueError(f'{cfg.filename}: {metric} is {value} and {metrics[metric]}')
    return [
        dict(Task=task, Dataset=dataset, Metrics=metrics)
        for (task, dataset), metrics in entries.items()
    ]


def folders(value: Any) -> Iterator[str]:
    """The folders of data in a part of a config, without ``data/``."""
    if isinstance(value, str):
        yield from re.findall(r'^data/(\w+)', value)
    elif isinstance(value, Mapping | list | tuple):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from folders(part)


def datasets(cfg: Config, stage: str, tasks: list[str]) -> list[str]:
    """Names of the data sets of tasks, in their order."""
    loaders = cfg.get(f'{stage}_dataloader') or {}
    parts = [loaders] if 'dataset' in loaders else [loaders[task] for task in tasks]
    return list(dict.fromkeys(DATA[folder] for part in parts for folder in folders(part)))


def entry(name: str, figures: list[Figure]) -> dict[str, Any]:
    """The entry of a config in its folder's metafile.

    Args:
        name: Of the config, relative to the folder of configs.
        figures: The paper's.
    """
    path = ROOT / 'configs' / name
    cfg = prepare(path)
    init_default_scope(cfg.default_scope)
    data = datasets(cfg, 'train', cfg.get('tasks', []))
    metadata: dict[str, Any] = {'Training Data': ', '.join(data)}
    if 'mask_rcnn' in name:  # what it computes depends on values, so it is not counted
        parameters = MODELS.build(cfg.model).parameters()
        metadata['Parameters'] = sum(parameter.numel() for parameter in parameters)
    else:
        sizes = [SIZES[folder] for folder in folders(cfg.val_dataloader) if folder in SIZES]
        cost = measure_complexity(path, sizes[0] if sizes else None)
        metadata['Parameters'], metadata['FLOPs'] = cost.parameters[''], cost.macs['']
    found: dict[str, Any] = {
        'Name': name.removesuffix('.py').replace('/', '_'),
        'In Collection': PAPERS.get(path.parent.name, PAPERS['gradsplit'])[0],
        'Config': f'configs/{name}',
        'Metadata': metadata,
    }
    if figures:
        found['Results'] = results(cfg, figures)
    return found


def collection(name: str, title: str, url: str) -> dict[str, Any]:
    """The entry of a paper."""
    return {
        'Name': name,
        'Paper': {'Title': title, 'URL': url},
        'README': 'configs/README.md',
        'Metadata': {'Architecture': ['One shared backbone, a head for each task']},
    }


def main() -> None:
    """Write them all."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    figures = published((ROOT / 'configs/README.md').read_text())
    files: dict[str, dict[str, list]] = {}
    for name in config_names():
        folder = name.split('/')[0]
        if folder not in files:
            papers = [collection(*PAPERS[folder])] if folder in PAPERS else []
            files[folder] = {'Collections': papers, 'Models': []} if papers else {'Models': []}
        files[folder]['Models'].append(entry(name, figures.get(name, [])))
        print(name, flush=True)
    paths = {folder: f'configs/{folder}/metafile.yml' for folder in files}
    for folder, content in files.items():
        write(paths[folder], content)
    write('model-index.yml', {'Import': list(paths.values())})


def write(path: str, content: Mapping[str, Any]) -> None:
    """Write a file of the repository."""
    text = mmengine.dump(content, file_format='yaml', sort_keys=False, allow_unicode=True)
    (ROOT / path).write_text(f'# Written by tools/make_metafiles.py.\n{text}')


if __name__ == '__main__':
    main()
