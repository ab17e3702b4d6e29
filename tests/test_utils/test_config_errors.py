"""Which key an error is said with, and in which words."""

from collections.abc import Callable

import pytest
import torch

from mmgradsplit.registry import MODELS
from mmgradsplit.utils import ConfigError, at_key
from mmgradsplit.utils.config_errors import sentence
from mmgradsplit.utils.signatures import fits, parameters_of, surplus


@MODELS.register_module(force=True)
class Outer:
    """Builds a part, as the models of the toolboxes do: from a copy with more in it."""

    def __init__(self, inner: dict, beside: int = 0) -> None:
        self.inner = MODELS.build(dict(inner, given=self))


@MODELS.register_module(force=True)
class Inner:
    """Fails at what it is told."""

    def __init__(
        self, given: object, width: int = 1, fault: Callable[[], None] | None = None
    ) -> None:
        if fault is not None:
            fault()


def divide() -> None:
    1 / 0  # noqa: B018


def assert_nothing() -> None:
    raise AssertionError


def miss() -> None:
    raise FileNotFoundError('no file')


@pytest.mark.parametrize(
    ('inner', 'kind', 'words'),
    [
        (
            dict(fault=divide),
            ConfigError,
            r'model\.inner: Inner: ZeroDivisionError: division by zero',
        ),
        (
            dict(fault=assert_nothing),
            ConfigError,
            r'model\.inner: Inner: raise AssertionError .*\.py\)',
        ),
        (dict(fault=miss), FileNotFoundError, r'model\.inner: Inner: no file'),
        (dict(widht=3), ConfigError, r"model\.inner: Inner has no 'widht'; did you mean 'width'\?"),
        (dict(type='Innner'), ConfigError, r"model\.inner: mmgradsplit has no 'Innner'"),
        (dict(width='b', fault=divide), ConfigError, r"by zero; width is 'b', but Inner takes int"),
    ],
)
def test_the_innermost_key(inner: dict, kind: type[Exception], words: str) -> None:
    part = dict(type='Outer', beside=1, inner=dict(dict(type='Inner'), **inner))
    match = f'^{words}' if words.startswith('model') else words
    with pytest.raises(kind, match=match), at_key('model', part):
        MODELS.build(part)


def test_what_has_its_key_and_a_lack_of_memory_pass() -> None:
    for error in (ConfigError('model.x: bad'), torch.OutOfMemoryError('full'), MemoryError()):
        with pytest.raises(type(error)) as caught, at_key('other'):
            raise error
        assert caught.value is error


def test_a_sentence_out_of_a_worker() -> None:
    text = 'Caught ValueError in DataLoader worker process 0.\nOriginal Traceback (most recent):\n'
    text += '  File "x.py", line 1\n    fail()\nValueError: the last line'
    assert sentence(RuntimeError(text)) == 'the last line'
    assert sentence(KeyError('in quotes')) == 'in quotes'


class Base:
    def __init__(self, base: int) -> None: ...


class Passing(Base):
    def __init__(self, own: int, **kwargs: int) -> None:
        super().__init__(**kwargs)


class Reading(Base):
    def __init__(self, **kwargs: int) -> None:
        self.further = kwargs.pop('further', None)
        super().__init__(**kwargs)


def test_what_a_class_takes() -> None:
    assert list(parameters_of(Passing).named) == ['own', 'base']
    assert list(surplus(Passing, dict(own=1, base=2))) == []
    assert len(list(surplus(Passing, dict(bse=1)))) == 1
    assert list(surplus(Reading, dict(further=1, other=2))) == []  # nobody can tell


@pytest.mark.parametrize(
    ('value', 'annotation', 'expected'),
    [
        (1, int, True), (1.0, int, True), (1.5, int, False), ('1', int, False), (1, float, True),
        (None, int | None, True), (None, int, False), ([1, 2], tuple[int, ...], True),
        ('ab', list[str], False), (['a', 1], list[str], False), ({}, dict, True), ([], bool, False),
        (1, bool, True), ('anything', Base, True),
    ],
)  # fmt: skip
def test_what_fits(value: object, annotation: object, expected: bool) -> None:
    assert fits(value, annotation) is expected
