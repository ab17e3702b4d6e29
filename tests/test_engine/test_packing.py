"""Packed batches are the batches that were packed, whatever toolbox the data samples are of."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks
from mmengine.structures import BaseDataElement, InstanceData, PixelData
from mmpose.structures import PoseDataSample
from mmpretrain.structures import DataSample
from mmseg.structures import SegDataSample
from torch import Tensor
from torch.utils.data import DataLoader

from mmgradsplit.engine.loops.batches import with_own_samples
from mmgradsplit.engine.loops.packing import ALIGNMENT, PackedBatch, PackingCollate


def detection() -> DetDataSample:
    sample = DetDataSample(metainfo=dict(img_path='a.jpg', img_shape=(8, 8)))
    sample.gt_instances = InstanceData(
        bboxes=HorizontalBoxes(torch.rand(2, 4)),
        labels=torch.tensor([3, 1]),
        masks=BitmapMasks(np.ones((2, 8, 8), np.uint8), 8, 8),
    )
    sample.ignored_instances = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0).long())
    return sample


def pose() -> PoseDataSample:
    sample = PoseDataSample(metainfo=dict(img_path='b.jpg'))
    sample.gt_instances = InstanceData(keypoints=np.ones((1, 16, 2), np.float32))
    sample.gt_instance_labels = InstanceData(keypoint_weights=torch.rand(1, 16))
    sample.gt_fields = PixelData(heatmaps=torch.rand(16, 4, 4))
    return sample


def segmentation() -> SegDataSample:
    sample = SegDataSample(metainfo=dict(img_path='c.jpg'))
    sample.gt_sem_seg = PixelData(data=torch.randint(9, (1, 8, 8)))
    return sample


def classification() -> DataSample:
    sample = DataSample(metainfo=dict(img_path='d.jpg', num_classes=5)).set_gt_label([1, 2])
    return sample.set_gt_score(torch.rand(5))


def content(value: Any) -> Any:
    """All that is in a batch, as plain Python."""
    if isinstance(value, Tensor):
        return (value.dtype, value.shape, value.tolist())
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, BaseDataElement):
        fields = {key: content(part) for key, part in value.items()}
        return (type(value), fields, dict(value.metainfo_items()))
    if isinstance(value, HorizontalBoxes):
        return (type(value), content(value.tensor))
    if isinstance(value, BitmapMasks):
        return (type(value), value.masks.tolist())
    if isinstance(value, dict):
        return {key: content(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return (type(value), [content(part) for part in value])
    return value


def tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, BaseDataElement):
        value = dict(value.items())
    if isinstance(value, HorizontalBoxes):
        return [value.tensor]
    if isinstance(value, dict):
        value = list(value.values())
    return [t for part in value for t in tensors(part)] if isinstance(value, list | tuple) else []


@pytest.mark.parametrize('sample', [detection, pose, segmentation, classification])
def test_a_packed_batch_is_the_batch(sample: Any) -> None:
    image = torch.randint(256, (3, 5, 7), dtype=torch.uint8)
    batch = dict(
        inputs=[image, image.flip(0)[:, ::2]],
        data_samples=[sample(), sample()],
        more=(torch.tensor(2.5).half(), torch.tensor([True, False]), 'text', None),
    )
    before = content(copy.deepcopy(batch))
    packed = PackedBatch.of(batch)
    again = packed.unpack()
    assert content(again) == before == content(batch)
    base = packed.buffer.untyped_storage().data_ptr()
    found = tensors(again)
    assert len(found) == len(tensors(batch)) > 4
    for tensor in found:
        assert tensor.untyped_storage().data_ptr() == base
        assert tensor.storage_offset() * tensor.itemsize % ALIGNMENT == 0 and tensor.is_contiguous()


def test_what_is_done_to_an_unpacked_batch_is_not_done_to_the_next() -> None:
    packed = PackedBatch.of([classification()])
    (first,) = packed.unpack(packed.buffer.clone())
    first.set_field(torch.ones(1), 'new')
    first.gt_score.fill_(7)
    first.set_metainfo(dict(pad_shape=(1, 1)))
    (second,) = packed.unpack()
    assert 'new' not in second and 'pad_shape' not in second
    assert not (second.gt_score == 7).any()


def test_a_tensor_that_two_samples_share_is_packed_once() -> None:
    shared = torch.rand(1000)
    packed = PackedBatch.of([shared, {'again': shared}])
    assert packed.buffer.numel() == 4000
    first, second = packed.unpack()
    assert first.data_ptr() == second['again'].data_ptr()


def test_what_is_no_plain_tensor_stays_what_it_is() -> None:
    sparse, trained = torch.eye(2).to_sparse(), torch.ones(2, requires_grad=True)
    first, second = PackedBatch.of([sparse, trained]).unpack()
    assert first is sparse and second is trained


def test_own_samples_have_memory_of_their_own_and_no_more() -> None:
    batch = PackedBatch.of(dict(inputs=[torch.rand(1000)], data_samples=[pose()])).unpack()
    own = with_own_samples(batch)
    assert content(own) == content(batch)
    assert own['inputs'] is batch['inputs']
    for tensor in tensors(own['data_samples']):
        assert tensor.untyped_storage().nbytes() == tensor.nbytes
        tensor.fill_(7)
    assert not any((tensor == 7).any() for tensor in tensors(batch))


def test_a_worker_sends_one_piece_of_shared_memory() -> None:
    loader = DataLoader(
        [torch.full((3,), float(i)) for i in range(4)],  # type: ignore[arg-type]
        batch_size=2,
        num_workers=1,
        collate_fn=PackingCollate(list),
    )
    batches = list(loader)
    assert all(batch.buffer.is_shared() for batch in batches)
    values = [[tensor.tolist() for tensor in batch.unpack()] for batch in batches]
    assert values == [[[0.0] * 3, [1.0] * 3], [[2.0] * 3, [3.0] * 3]]
