"""``mmgradsplit check`` on a config of four tasks whose data are drawn."""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from fixtures_training import ALL, tiny_config, write_data
from mmengine.config import Config

from mmgradsplit.analysis import check_data
from mmgradsplit.cli.main import main
from mmgradsplit.visualization import draw_contact_sheet


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp('data'))


def config_file(data: Path, folder: Path) -> Path:
    file = folder / 'config.py'
    tiny_config(data, ALL).dump(file)
    return file


def test_whole_data(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = config_file(data, tmp_path)
    main(['check', str(file), '--out', str(tmp_path / 'report'), '--pictures', '3', '--workers=1'])
    report = json.loads((tmp_path / 'report/check.json').read_text())
    assert set(report['found'].values()) == {0}
    sets = {each['key']: each for each in report['data_sets']}
    assert set(sets) == {f'{s}_dataloader.{task}' for s in ('train', 'val') for task in ALL}
    # Each of 4 people of the training has 3 images; of the test 3, and a query.
    assert sets['train_dataloader.reid']['identities'] == dict(identities=4, with_one_image=0)
    assert sets['train_dataloader.parsing']['sizes'] == dict(width=[32, 32], height=[32, 32])
    # Of the label maps, all 12 have 32 x 32 pixels of one of 4 parts each.
    pixels = sets['train_dataloader.parsing']['counts']['gt_seg_map']
    expected = np.zeros(4, int)
    for path in (data / 'parsing/train_labels').iterdir():
        expected += np.bincount(cv2.imread(str(path), -1).ravel(), minlength=4)
    assert list(pixels.values()) == expected.tolist()
    for key in sets:
        picture = cv2.imread(str(tmp_path / f'report/{key.replace("_dataloader.", "_")}.png'))
        assert picture is not None and picture.std() > 5
    assert 'Found: nothing' in capsys.readouterr().out


def test_each_sample_is_seen_as_often_as_the_schedule_says(data: Path, tmp_path: Path) -> None:
    cfg = tiny_config(data, ('attribute',))
    cfg.work_dir = str(tmp_path)
    assert check_data(cfg, out=tmp_path, workers=0, pictures=0) == 0
    report = json.loads((tmp_path / 'check.json').read_text())
    train, val = report['data_sets']
    batch, schedule = cfg.train_dataloader.attribute.batch_size, cfg.train_cfg
    assert train['times_seen'] == schedule.max_epochs * schedule.iters_per_epoch * batch / 12
    assert val['times_seen'] is None


def test_what_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_data(tmp_path / 'data')
    broken = data / 'attribute/release_data/release_data/train_5.png'
    broken.write_bytes(b'')
    labels = np.full((32, 32), 9, np.uint8)
    for name in ('3', '4'):
        cv2.imwrite(str(data / f'parsing/val_labels/{name}.png'), labels)
    with pytest.raises(SystemExit) as ended:
        file, out = str(config_file(data, tmp_path)), str(tmp_path / 'report')
        main(['check', file, '--out', out, '--pictures=0', '--workers=0'])
    assert ended.value.code == 1
    report = json.loads((tmp_path / 'report/check.json').read_text())
    assert report['found'] == dict(unreadable=1, mismatched=0, implausible=2)
    sets = {each['key']: each for each in report['data_sets']}
    first = sets['train_dataloader.attribute']['findings']['unreadable'][0]
    assert first['file'] == str(broken)
    assert first['index'] == 5
    files = [f['file'] for f in sets['val_dataloader.parsing']['findings']['implausible']]
    assert files == [str(data / f'parsing/val_labels/{name}.png') for name in ('3', '4')]
    text = ''.join(capsys.readouterr().out.split())
    assert str(broken) in text
    assert '1unreadable,2implausible' in text


def test_a_set_that_cannot_be_built_does_not_hide_the_others(data: Path, tmp_path: Path) -> None:
    cfg = tiny_config(data, ALL)
    cfg.work_dir = str(tmp_path)
    cfg.train_dataloader.pose.dataset.ann_file = 'annotations/nowhere.json'
    assert check_data(cfg, out=tmp_path, workers=0, pictures=0) == 1
    report = json.loads((tmp_path / 'check.json').read_text())
    found = {each['key']: each['found']['unreadable'] for each in report['data_sets']}
    assert found.pop('train_dataloader.pose') == 1
    assert not any(found.values())
    assert len(found) == 7


def test_a_config_without_data(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='no train_dataloader'):
        check_data(Config(dict(model=dict(type='A'), work_dir='w')), out=tmp_path)


def test_labels_are_drawn_where_they_are() -> None:
    """A class that is the left half colours the left half alone; grey stands for ignored."""
    image = np.full((20, 30, 3), 128, np.uint8)
    labels = np.zeros((20, 30), np.uint8)
    labels[:, :10], labels[:, 20:] = 1, 255
    meta = dict(classes=['none', 'left'], palette=[(0, 0, 0), (255, 0, 0)])
    figure = draw_contact_sheet([dict(img=image, gt_seg_map=labels, img_path='a.png')], meta, 't')
    drawn = figure.axes[1].images[0].get_array()
    reds = drawn[..., 0].astype(int) - drawn[..., 2]
    assert (reds[:, :10] > 100).all()
    assert (reds[:, 10:] == 0).all()
    assert (drawn[:, 20:] != drawn[:, 10:20]).any()


@pytest.mark.skipif(sys.platform != 'linux', reason='workers are forked')
def test_workers_find_what_one_process_finds(tmp_path: Path) -> None:
    data = write_data(tmp_path / 'data')
    (data / 'reid/bounding_box_train/0002_c1s1_000000_00.png').write_bytes(b'x')
    cfg = tiny_config(data, ('reid', 'parsing'))
    cfg.work_dir = str(tmp_path)
    reports = []
    for workers in (0, 2):
        check_data(cfg, out=tmp_path, workers=workers, pictures=0)
        reports.append((tmp_path / 'check.json').read_text())
    assert reports[0] == reports[1]
    assert json.loads(reports[0])['found']['unreadable'] == 1
