"""The sentences that a user reads where a toolbox is missing or does not fit."""

from importlib import metadata

import pytest

from mmgradsplit.compat import versions

MAINTAINED = {
    'onedl-mmengine': '0.10.12',
    'onedl-mmcv': '2.3.6',
    'onedl-mmdetection': '3.5.1',
    'onedl-mmsegmentation': '1.4.2',
    'onedl-mmpretrain': '1.3.6',
    'mmpose': '1.3.2',
}
UPSTREAM = {
    'mmengine': '0.10.7',
    'mmcv': '2.1.0',
    'mmdet': '3.3.0',
    'mmsegmentation': '1.2.2',
    'mmpretrain': '1.2.0',
    'mmpose': '1.3.2',
}


def pretend(monkeypatch: pytest.MonkeyPatch, installed: dict[str, str]) -> None:
    def version(name: str) -> str:
        if name not in installed:
            raise metadata.PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr(versions.metadata, 'version', version)


@pytest.mark.parametrize('family', [MAINTAINED, UPSTREAM])
def test_both_families_will_do(family: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, family)
    versions.check_versions()


def test_missing_toolboxes_are_named_together(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, {k: v for k, v in MAINTAINED.items() if k not in ('onedl-mmcv', 'mmpose')})
    with pytest.raises(ImportError, match=r'needs onedl-mmcv, mmpose, not installed.*make install'):
        versions.check_versions()


@pytest.mark.parametrize(
    ('family', 'changed', 'sentence'),
    [
        (MAINTAINED, {'onedl-mmengine': '0.9.1'}, 'mmengine >= 0.10.3.*0.9.1 is installed'),
        (MAINTAINED, {'mmpose': '2.0.0'}, "mmpose >= 1.3.*pip install 'mmpose>=1.3,<1.4'"),
        (UPSTREAM, {'mmcv': '2.2.0'}, r"mmcv >= 2.1, < 2.2 with mmdet 3.3.0.*'mmcv>=2.1,<2.2'"),
        (UPSTREAM, {'onedl-mmcv': '2.3.6'}, 'onedl-mmcv and mmcv are both installed'),
    ],
)
def test_versions_that_do_not_fit(
    family: dict[str, str],
    changed: dict[str, str],
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pretend(monkeypatch, {**family, **changed})
    with pytest.raises(ImportError, match=sentence) as caught:
        versions.check_versions()
    assert '\n' not in str(caught.value)
