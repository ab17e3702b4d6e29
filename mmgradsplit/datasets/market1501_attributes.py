"""Market-1501's attributes under the names of PA-100K, for a test across data sets."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io

from mmgradsplit.registry import DATASETS

from .market1501 import Market1501
from .pa100k import PA100K

UPPER_COLOURS = ('black', 'white', 'red', 'purple', 'yellow', 'gray', 'blue', 'green')
LOWER_COLOURS = ('black', 'white', 'pink', 'purple', 'yellow', 'gray', 'blue', 'green', 'brown')
YES_NO = {1, 2}
# The values of Market-1501's 27 attributes, as its annotation file calls them.
FIELDS: dict[str, set[int]] = {
    'age': {1, 2, 3, 4},
    **dict.fromkeys(
        ('backpack', 'bag', 'handbag', 'clothes', 'down', 'up', 'hair', 'hat', 'gender'), YES_NO
    ),
    **{f'up{colour}': YES_NO for colour in UPPER_COLOURS},
    **{f'down{colour}': YES_NO for colour in LOWER_COLOURS},
}
MAPPING = Path(__file__).parent / 'meta' / 'market1501_to_pa100k.json'
UNKNOWN = -1.0

Rules = dict[str, dict[str, list[int]]]
"""By name of an attribute, the values that it needs in fields of Market-1501."""


@DATASETS.register_module()
class Market1501Attributes(Market1501):
    """Market-1501's test images with those attributes that PA-100K has, too (GradSplit, Table 6).

    The folder of :class:`Market1501`, with the annotation of Lin et al. ("Improving Person
    Re-identification by Attribute and Identity Learning") beside the images::

        data_root/
        ├── bounding_box_test/...
        ├── query/...
        └── market_attribute.mat    # market_attribute.test: 27 fields, image_index

    The annotation is by identity: all images of the test identities, queries and gallery, have that
    of their person; junk and distractors have none and are left out. Each sample has ``img_path``,
    ``person_id``, ``camera_id``, ``is_query`` and ``gt_score``, shape [26]: in the order of
    PA-100K's attributes, 1 or 0 where Market-1501 tells, and -1 where it does not.

    Args:
        data_root: The folder.
        ann_file: The MATLAB file, relative to ``data_root`` or absolute.
        mapping: JSON file with what PA-100K's attributes are in Market-1501.
        **kwargs: Other arguments of mmpretrain's ``BaseDataset``: ``pipeline``, ``metainfo``, ...

    Raises:
        FileNotFoundError: If a folder or a file is missing.
        ValueError: If the MATLAB file or the mapping is not as described, or lacks an identity.
    """

    METAINFO = PA100K.METAINFO

    def __init__(
        self,
        data_root: str,
        ann_file: str = 'market_attribute.mat',
        mapping: str | Path = MAPPING,
        **kwargs: Any,
    ) -> None:
        self.mapping = Path(mapping)
        super().__init__(data_root, split='test', ann_file=ann_file, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Read the images' names and the attributes of their identities."""
        rules = read_mapping(self.mapping, self.metainfo['classes'])
        scores = self._scores(rules)
        samples = [sample for sample in super().load_data_list() if sample['person_id'] > 0]
        for sample in samples:
            if sample['person_id'] not in scores:
                raise ValueError(
                    f'Market1501Attributes: {self.ann_file} does not have the identity '
                    f'{sample["person_id"]} of {sample["img_path"]}: it belongs to other images.'
                )
            sample['gt_score'] = scores[sample['person_id']]
        return samples

    def _scores(self, rules: Rules) -> dict[int, np.ndarray]:
        """Return the scores, [26], of each identity."""
        annotation = self._read_annotation({field for rule in rules.values() for field in rule})
        identities = annotation.pop('image_index')
        classes = self.metainfo['classes']
        scores = np.full((len(identities), len(classes)), UNKNOWN, np.float32)
        for name, rule in rules.items():
            column = list(classes).index(name)
            holds = [np.isin(annotation[field], values) for field, values in rule.items()]
            scores[:, column] = np.logical_and.reduce(holds)
        return {int(identity): row for identity, row in zip(identities, scores, strict=True)}

    def _read_annotation(self, fields: set[str]) -> dict[str, np.ndarray]:
        """Return ``fields`` and ``image_index`` of the test identities, each of shape [N].

        They are read by name: the order of the fields in the published file is not the same for
        training and test.
        """
        if not Path(self.ann_file).is_file():
            raise FileNotFoundError(
                f'Market1501Attributes: no annotation file {self.ann_file}: put the published '
                "market_attribute.mat there, or set ann_file to it; a drawn data set's is written "
                'by `mmgradsplit draw pedestrians` (draw it again where it is older).'
            )
        try:
            content = scipy.io.loadmat(self.ann_file, simplify_cells=True)
        except NotImplementedError as error:  # what scipy says of HDF5
            raise ValueError(
                f'Market1501Attributes: {self.ann_file} is a MATLAB file of version 7.3: save it '
                f"in version 7, in MATLAB by save(..., '-v7'), or fetch the published one."
            ) from error
        except Exception as error:  # scipy raises whatever the broken bytes lead to
            raise ValueError(
                f'Market1501Attributes: {self.ann_file} is not a readable MATLAB file ({error}): '
                'fetch it again.'
            ) from error
        try:
            test = content['market_attribute']['test']
            annotation = {
                field: np.atleast_1d(test[field]).astype(int)  # identities are texts, '0001'
                for field in ('image_index', *sorted(fields))
            }
        except (KeyError, TypeError, IndexError) as error:
            raise ValueError(
                f'Market1501Attributes: {self.ann_file} has no market_attribute.test with the '
                f"fields image_index and {', '.join(sorted(fields))}: is it Market-1501's "
                f'market_attribute.mat? ({error!r})'
            ) from error
        number = len(annotation['image_index'])
        for field, values in annotation.items():
            allowed = FIELDS.get(field)
            if values.shape != (number,) or (allowed and not set(values.tolist()) <= allowed):
                raise ValueError(
                    f'Market1501Attributes: market_attribute.test.{field} in {self.ann_file} is '
                    f'not one of {sorted(allowed or ())} for each of the {number} identities.'
                )
        return annotation


def read_mapping(path: str | Path, classes: tuple[str, ...]) -> Rules:
    """Read what attributes are in Market-1501.

    Args:
        path: JSON file: ``{"attributes": {NAME: {"market1501": {FIELD: [VALUE, ...]}}}}``. A person
            has the attribute where every field holds one of its values.
        classes: The names that the attributes can have.

    Returns:
        Values by field, by attribute.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not as described, or names what is not in Market-1501 or ``classes``.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'Market1501Attributes: no mapping {path}: set mapping to a file.')
    try:
        entries = json.loads(path.read_text(encoding='utf-8'))['attributes']
        rules: Rules = {name: dict(entry['market1501']) for name, entry in entries.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f'Market1501Attributes: the mapping {path} is not JSON of the form '
            f'{{"attributes": {{NAME: {{"market1501": {{FIELD: [VALUE]}}}}}}}} ({error!r}).'
        ) from error
    for name, rule in rules.items():
        if name not in classes:
            raise ValueError(
                f"Market1501Attributes: the mapping {path} has the attribute '{name}', which is "
                f'none of {classes}.'
            )
        for field, values in rule.items():
            if field not in FIELDS or not values or not set(values) <= FIELDS[field]:
                raise ValueError(
                    f"Market1501Attributes: '{name}' in the mapping {path} asks for {field} in "
                    f'{values}, which Market-1501 does not have.'
                )
    return rules
