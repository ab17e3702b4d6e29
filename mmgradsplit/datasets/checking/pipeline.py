"""The pipeline of a data set of any toolbox, which checks what is loaded."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from mmcv.transforms import BaseTransform
from mmengine.dataset import Compose
from mmseg.datasets.transforms import LoadAnnotations

from mmgradsplit.datasets.files import described
from mmgradsplit.datasets.transforms.loading import LoadLabelMap
from mmgradsplit.registry import TRANSFORMS
from mmgradsplit.utils import SampleError, check_file
from mmgradsplit.utils.data_files import IMPLAUSIBLE

from .annotations import check_classes, check_instances, check_keypoints
from .geometry import check_size, check_turned, is_placed
from .maps import MAPS, check_labels

# Where the data info of a sample names its files.
FILES = ('img_path', *MAPS.values())
LABELS = ('gt_label', 'gt_seg_map', 'bbox_label')
DECODERS = ('pillow', 'cv2')

Observer: TypeAlias = Callable[[str, Mapping[str, Any]], None]


@TRANSFORMS.register_module()
class CheckedPipeline(Compose):
    """Runs the transforms of a data set, and checks each image and annotation when it is loaded.

    It serves every toolbox, as all of them hand one dictionary from transform to transform. What is
    looked at:

    - Files are files (not folders or pipes), are there, and are not empty.
    - Label maps, depth, disparity and normals have the size of their image as it is stored.
    - Numbers of classes are below the number of classes; boxes, keypoints and polygons are finite
      and near the image; the image has the size that its annotation file says.
    - An image that EXIF turns does not leave open how its annotations are meant.

    mmseg's ``LoadAnnotations`` is replaced by :class:`~mmgradsplit.datasets.LoadLabelMap`.

    Args:
        pipeline: The pipeline of the data set.
        metainfo: Its meta information: ``classes``, ``num_keypoints``.
        outputs: Number of classes of the network for ``gt_label``, ``gt_seg_map`` and
            ``bbox_label``; of what is not among them, the data set's classes count.
        ann_file: The file that holds the annotations of all samples, for messages.
        observe: Called with ``'raw'`` and what has been loaded, before it is augmented, and with
            ``'ready'`` and what the last transform gets.
    """

    def __init__(
        self,
        pipeline: Any,
        metainfo: Mapping[str, Any] | None = None,
        outputs: Mapping[str, int] | None = None,
        ann_file: str = '',
        observe: Observer | None = None,
    ) -> None:
        self.transforms = [_ours(transform) for transform in pipeline.transforms]
        meta = metainfo or {}
        self.classes = [str(name) for name in meta.get('classes') or ()]
        self.outputs = dict.fromkeys(LABELS, len(self.classes)) | dict(outputs or {})
        self.num_keypoints = int(meta.get('num_keypoints') or 0)
        self.ann_file = ann_file
        self.observe = observe

    def __call__(self, data: dict) -> dict | None:
        """Run the transforms on the data info of a sample.

        Raises:
            SampleError: If a file cannot be read or an annotation cannot be right, naming the file.
        """
        image = data.get('img_path')
        for key in FILES:
            path = data.get(key)
            if isinstance(path, str):
                check_file(path)
        if 'gt_label' in data or 'gt_score' in data:
            try:
                check_classes(data, self.outputs['gt_label'])
            except SampleError as error:
                raise self._sourced(error, data) from None
        waiting = ['img', *(field for field, key in MAPS.items() if data.get(key))]
        results = data
        for number, transform in enumerate(self.transforms):
            if self.observe and number == len(self.transforms) - 1:
                self.observe('ready', results)
            try:
                results = transform(results)
            except SampleError:
                raise
            except Exception as error:
                raise _named(error, transform, data, waiting) from error
            if results is None:
                return None
            if not waiting:
                continue
            for field in [field for field in waiting if field in results]:
                waiting.remove(field)
                if field == 'img':
                    self._check_image(results, transform, image)
                else:
                    self._check_map(results, field)
                if self.observe:
                    self.observe('raw', dict(results, loaded=field))
        return results

    def _check_image(self, results: dict, transform: Any, path: Any) -> None:
        if not is_placed(results):
            return
        height, width = results['img'].shape[:2]
        if isinstance(path, str):
            check_turned(results, transform, path)
        try:
            if results.get('instances'):
                check_instances(results, (width, height), self.outputs['bbox_label'])
            if results.get('keypoints') is not None:
                check_keypoints(results, (width, height), self.num_keypoints)
        except SampleError as error:
            raise self._sourced(error, results) from None

    def _sourced(self, error: SampleError, data: Mapping[str, Any]) -> SampleError:
        """An error about annotations that names their file, and the image that they are of."""
        image = data.get('img_path')
        source = data.get('xml_path') or self.ann_file
        what = f'{error.what} (annotation of {image})' if source else error.what
        return SampleError(what, source or image, kind=IMPLAUSIBLE)

    def _check_map(self, results: dict, field: str) -> None:
        check_size(results, field)
        number = self.outputs['gt_seg_map']
        if field == 'gt_seg_map' and number:
            check_labels(results, number, self.classes if number == len(self.classes) else ())


def _ours(transform: Any) -> Any:
    """LoadLabelMap in place of the transform of mmseg that it stands for."""
    plain = type(transform) is LoadAnnotations and transform.imdecode_backend in DECODERS
    if not plain or transform.reduce_zero_label is not None:
        return transform
    return LoadLabelMap(transform.backend_args)


def _named(
    error: Exception, transform: BaseTransform, data: Mapping[str, Any], waiting: list[str]
) -> SampleError:
    """An error of a transform, with the file that it was about."""
    name = type(transform).__name__
    text = str(error).strip().split('\n')[0] or type(error).__name__
    image = data.get('img_path')
    if 'img' in waiting and isinstance(image, str):
        try:
            with open(image, 'rb') as file:
                begins = described(file.read(256))
        except OSError as cause:
            return SampleError(cause.strerror or str(cause), image)
        return SampleError(f'it cannot be read as an image ({text}); {begins}', image)
    field = next((field for field in waiting if field in MAPS), None)
    path = data.get(MAPS[field]) if field and name.startswith('Load') else image
    return SampleError(f'{name}: {text}', path if isinstance(path, str) else None, field)
