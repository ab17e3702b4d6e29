"""What it costs to show all tasks pictures of one size: every metric at own and at shared sizes.

Every validation image of every task is predicted at each size, by the code of ``mmgradsplit
predict``, and measured by the config's own metric. Top-down pose estimation is shown the person's
part of the image, in whole pixels.

Example:
    python benchmarks/shared_size.py work_dirs/demo/epoch_5.pth own 64x128 128x128
"""

import argparse
from typing import Any

import cv2
import numpy as np
from mmengine.registry import DATASETS

from mmgradsplit.functional.placement import Box
from mmgradsplit.inference import MultiTaskInferencer
from mmgradsplit.inference.own_size import predict_own
from mmgradsplit.registry import METRICS
from mmgradsplit.utils import read_image
from mmgradsplit.utils.tables import TextTable
from mmgradsplit.visualization import predict_batch

BATCH = 20
PREDICTED = ('pred_', 'embedding')


def measure(inferencer: MultiTaskInferencer, task: str, size: str) -> dict[str, float]:
    """The metrics of a task with its images shown at a size.

    Args:
        inferencer: The network.
        task: Name of the task.
        size: ``'own'``, or such as ``'64x128'``, width and height.
    """
    model = inferencer.model
    dataset: Any = DATASETS.build(model.cfg.val_dataloader[task]['dataset'])
    metric: Any = METRICS.build(model.cfg.val_evaluator[task])
    metric.dataset_meta = dataset.metainfo
    for start in range(0, len(dataset), BATCH):
        samples = [
            dataset[i]['data_samples'] for i in range(start, min(len(dataset), start + BATCH))
        ]
        shown = [_shown(sample, inferencer.views[task].padding) for sample in samples]
        images, boxes, corners = zip(*shown, strict=True)
        if size == 'own':
            found = predict_own(model, inferencer.views, images, [task], boxes)
        else:
            width, height = map(int, size.split('x'))
            found = predict_batch(model, images, (width, height), [task])
        for sample, of_tasks, corner in zip(samples, found, corners, strict=True):
            predicted = of_tasks[task]
            if corner is not None:
                predicted.pred_instances.keypoints[..., :2] += corner
            fields = {key: predicted.get(key) for key in predicted.keys()}  # noqa: SIM118
            for key, value in fields.items():
                if key.startswith(PREDICTED):
                    setattr(sample, key, value)
        metric.process(dict(data_samples=samples), [sample.to_dict() for sample in samples])
    return {name: float(value) for name, value in metric.evaluate(len(dataset)).items()}


def _shown(sample: Any, padding: float) -> tuple[np.ndarray, Box | None, np.ndarray | None]:
    """The image of a sample, the person's box in it, and where it begins in the file's image."""
    image = read_image(sample.img_path)
    if 'input_center' not in sample:
        return image, None, None
    extent = np.rint(sample.input_scale).astype(int)
    corner = np.rint(sample.input_center - extent / 2)
    shift = np.column_stack([np.eye(2), -corner])
    image = cv2.warpAffine(image, shift, extent.tolist())
    # The image is the person's box as the validation enlarges it.
    low, high = extent / 2 - extent / padding / 2, extent / 2 + extent / padding / 2
    return image, (low[0], low[1], high[0], high[1]), corner


def main() -> None:
    """Measure and show a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('checkpoint', help='checkpoint, which holds its config')
    parser.add_argument('sizes', nargs='+', metavar='SIZE', help='own, or WIDTHxHEIGHT')
    args = parser.parse_args()
    inferencer = MultiTaskInferencer(None, args.checkpoint)
    rows = []
    for task in inferencer.model.tasks:
        found = [measure(inferencer, task, size) for size in args.sizes]
        rows += [[f'{task}/{name}', *(f'{of[name]:.2f}' for of in found)] for name in found[0]]
    print(TextTable(['metric', *args.sizes], rows, words=['metric']).markdown())


if __name__ == '__main__':
    main()
