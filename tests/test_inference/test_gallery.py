"""Galleries: ranked as the metric ranks, stopped and gone on with, refused by other networks."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from fixtures_training import build, tiny_config, write_data
from mmengine.config import Config
from mmengine.runner import save_checkpoint
from PIL import Image

from mmgradsplit.apis import load_model
from mmgradsplit.cli import main
from mmgradsplit.export import publish
from mmgradsplit.inference import (
    Gallery,
    MultiTaskInferencer,
    build_gallery,
    find_matches,
    look_of,
    query_to_folder,
)
from mmgradsplit.inference import gallery as gallery_module


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of re-identification are blocks of colours: noise looks all alike to a network."""
    root = write_data(tmp_path_factory.mktemp('data'))
    rng = np.random.default_rng(0)
    for path in sorted(root.glob('reid/*/*.png')):
        blocks = rng.integers(0, 256, (4, 2, 3), np.uint8)
        cv2.imwrite(str(path), blocks.repeat(16, axis=0).repeat(16, axis=1))
    return root


@pytest.fixture(scope='module')
def config(data: Path) -> Config:
    return tiny_config(data, ('reid', 'pose'))


def save(config: Config, file: Path, seed: int = 0) -> Path:
    """A checkpoint of random weights."""
    torch.manual_seed(seed)
    model: Any = load_model(config, device='cpu')
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    meta = dict(cfg=config.pretty_text, dataset_meta={})
    save_checkpoint(dict(meta=meta, state_dict=model.state_dict()), str(file))
    return file


@pytest.fixture(scope='module')
def checkpoint(config: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(config, tmp_path_factory.mktemp('network') / 'network.pth')


@pytest.fixture
def network(checkpoint: Path) -> MultiTaskInferencer:
    return MultiTaskInferencer(None, checkpoint, 'cpu')


@pytest.fixture
def pictures(data: Path, tmp_path: Path) -> Path:
    """Twelve pictures."""
    return Path(shutil.copytree(data / 'reid/bounding_box_test', tmp_path / 'pictures'))


# ---- ranks ----


def write_gallery(
    folder: Path, vectors: np.ndarray, distance: str = 'cosine', complete: bool = True
) -> Path:
    """A gallery of given embeddings, as the documents say it lies on the disk."""
    folder.mkdir(parents=True)
    vectors.astype('<f4').tofile(folder / 'embeddings.f32')
    lines = [json.dumps(f'/pictures/{i}.png') + '\n' for i in range(len(vectors))]
    (folder / 'pictures.jsonl').write_text(''.join(lines))
    look = dict(
        network='0' * 64, task='reid', dimension=vectors.shape[1], distance=distance, passes='own',
        size=[64, 128], rule='stretch 1', complete=complete,
    )  # fmt: skip
    (folder / 'gallery.json').write_text(json.dumps(look))
    return folder


def one_by_one(query: np.ndarray, vectors: np.ndarray, distance: str) -> list[int]:
    """Indices by distance, then by index; the numbers are whole, so that ties are exact."""

    def far(i: int) -> float:
        other = vectors[i].astype(np.float64)
        if distance == 'euclidean':
            return float(((query - other) ** 2).sum())
        return -float(query @ other) / float(np.linalg.norm(query) * np.linalg.norm(other))

    return sorted(range(len(vectors)), key=lambda i: (far(i), i))


@pytest.mark.parametrize('distance', ['cosine', 'euclidean'])
def test_ranks_are_those_of_brute_force_with_ties(
    tmp_path: Path, distance: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of signs, whose lengths and dot products are exact; the gallery is read in several blocks."""
    monkeypatch.setattr(gallery_module, 'ROWS', 37)
    monkeypatch.setattr(gallery_module, 'QUERIES', 3)
    rng = np.random.default_rng(0)
    vectors = rng.choice([-1.0, 1.0], (300, 16))
    vectors[::7] *= 2  # of the same direction
    queries = rng.choice([-1.0, 1.0], (7, 16))
    gallery = Gallery(write_gallery(tmp_path / 'gallery', vectors, distance))
    for top in (1, 10, 300, 999):
        indices, distances = gallery.nearest(queries, top)
        assert indices.shape == distances.shape == (7, min(top, 300))
        for query, found, far in zip(queries, indices, distances, strict=True):
            expected = one_by_one(query, vectors, distance)[:top]
            assert found.tolist() == expected
            near = vectors[expected]
            if distance == 'euclidean':
                np.testing.assert_allclose(far, np.linalg.norm(near - query, axis=1), atol=1e-12)
            else:
                cosine = near @ query / np.linalg.norm(near, axis=1) / 4
                np.testing.assert_allclose(far, 1 - cosine, atol=1e-12)


def test_ranks_of_random_embeddings(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    vectors, queries = rng.random((500, 32)).astype(np.float32), rng.random((4, 32))
    indices, _ = Gallery(write_gallery(tmp_path / 'gallery', vectors)).nearest(queries, 25)
    for query, found in zip(queries, indices, strict=True):
        assert found.tolist() == one_by_one(query, vectors, 'cosine')[:25]


def test_a_query_has_to_fit(tmp_path: Path) -> None:
    gallery = Gallery(write_gallery(tmp_path / 'gallery', np.ones((3, 4))))
    with pytest.raises(ValueError, match=r'4 numbers.*\[1, 5\]'):
        gallery.nearest(np.ones((1, 5)))
    with pytest.raises(ValueError, match='top must be at least 1'):
        gallery.nearest(np.ones((1, 4)), 0)


def test_embeddings_stay_on_the_disk(tmp_path: Path) -> None:
    gallery = Gallery(write_gallery(tmp_path / 'gallery', np.ones((3, 4))))
    assert isinstance(gallery.embeddings, np.memmap) and gallery.embeddings.mode == 'r'


def test_matches_give_the_map_of_validation(
    checkpoint: Path, network: MultiTaskInferencer, data: Path, tmp_path: Path
) -> None:
    """The ranked lists, against what the validation loop measures of the same checkpoint."""
    gallery = build_gallery(network, data / 'reid/bounding_box_test', tmp_path / 'gallery')
    precisions = []
    for matches in find_matches(network, gallery, data / 'reid/query', top=99, batch_size=3):
        person = matches.query.name.split('_')[0]
        right = [Path(match.picture).name.startswith(person) for match in matches.nearest]
        ranks = np.flatnonzero(right) + 1
        precisions.append(np.mean(np.arange(1, len(ranks) + 1) / ranks))
    cfg = tiny_config(data, ('reid', 'pose'), load_from=str(checkpoint))
    measured = build(cfg, tmp_path / 'work').val()['reid/mAP']
    assert 100 * np.mean(precisions) == pytest.approx(measured, abs=1e-9)
    assert len(precisions) == 4 and 0 < measured < 100


# ---- building ----


def test_a_gallery_holds_what_the_network_says(
    network: MultiTaskInferencer, pictures: Path, tmp_path: Path
) -> None:
    gallery = build_gallery(network, pictures, tmp_path / 'gallery', batch_size=5)
    assert gallery.pictures == sorted(str(path) for path in pictures.iterdir())
    assert len(gallery) == 12 and gallery.look.task == 'reid' and gallery.look.dimension == 8
    for path, row in zip(gallery.pictures, gallery.embeddings, strict=True):
        (result,) = network(path, tasks=['reid'], passes='own')
        np.testing.assert_allclose(row, result.tasks['reid'].vector, rtol=1e-4, atol=1e-6)
    assert len(np.unique(gallery.embeddings, axis=0)) == 12


def test_queries_find_themselves(
    network: MultiTaskInferencer, pictures: Path, tmp_path: Path
) -> None:
    gallery = build_gallery(network, pictures, tmp_path / 'gallery')
    for matches in find_matches(network, gallery, pictures, top=3):
        first, *others = matches.nearest
        assert first.picture == matches.query.source
        assert first.distance < 1e-6 < others[0].distance <= others[1].distance


def test_a_stopped_gallery_goes_on(
    network: MultiTaskInferencer,
    pictures: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = build_gallery(network, pictures, tmp_path / 'whole', batch_size=4)
    out = tmp_path / 'gallery'
    looked_at: list[str] = []
    stream = network.stream

    def stopped_after(number: int) -> Callable[..., Any]:
        def results(*args: Any, **options: Any) -> Any:
            for result in stream(*args, **options):
                if result.source.startswith(str(pictures)):
                    if len(looked_at) == number:
                        raise KeyboardInterrupt
                    looked_at.append(result.source)
                yield result

        return results

    monkeypatch.setattr(network, 'stream', stopped_after(6))
    with pytest.raises(KeyboardInterrupt):
        build_gallery(network, pictures, out, batch_size=4)
    with pytest.raises(ValueError, match='is not finished'):
        Gallery(out)
    # As a kill may leave it: a row of which a half is written, and a name that belongs to no row.
    with (out / 'embeddings.f32').open('ab') as file:
        file.write(bytes(13))
    with (out / 'pictures.jsonl').open('ab') as file:
        file.write(b'"/some/wh')
    monkeypatch.setattr(network, 'stream', stopped_after(10**6))
    gallery = build_gallery(network, pictures, out, batch_size=4)
    assert looked_at == whole.pictures == gallery.pictures
    np.testing.assert_allclose(gallery.embeddings, whole.embeddings, rtol=1e-4, atol=1e-6)


def test_a_gallery_takes_further_pictures(
    network: MultiTaskInferencer, pictures: Path, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / 'gallery'
    build_gallery(network, pictures, out)
    before = (out / 'embeddings.f32').read_bytes()
    gallery = build_gallery(network, [str(pictures), str(data / 'reid/query')], out)
    assert len(gallery) == 12 + 4
    assert (out / 'embeddings.f32').read_bytes().startswith(before)
    again = build_gallery(network, pictures, out)
    assert again.pictures == gallery.pictures


def test_broken_pictures_are_named_and_the_rest_goes_on(
    network: MultiTaskInferencer, pictures: Path, tmp_path: Path
) -> None:
    (pictures / 'a_text.png').write_text('no picture')
    (pictures / 'empty.jpg').touch()
    out = tmp_path / 'gallery'
    assert len(build_gallery(network, pictures, out)) == 12
    assert [Path(each.source).name for each in network.failures] == ['a_text.png', 'empty.jpg']
    # They are all that is left, which is no error: the gallery has pictures.
    assert len(build_gallery(network, pictures, out)) == 12
    assert len(network.failures) == 2
    with pytest.raises(ValueError, match=r'nothing came out of 1 input: .*a_text\.png'):
        build_gallery(network, pictures / 'a_text.png', tmp_path / 'other')


def test_only_files_of_pictures(network: MultiTaskInferencer, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='made of files of pictures'):
        build_gallery(network, np.zeros((8, 8, 3), np.uint8), tmp_path / 'gallery')
    assert not (tmp_path / 'gallery').exists()


def test_nothing_is_overwritten(
    network: MultiTaskInferencer, pictures: Path, tmp_path: Path
) -> None:
    out = tmp_path / 'gallery'
    out.mkdir()
    (out / 'embeddings.f32').write_text('of somebody else')
    with pytest.raises(FileExistsError, match=r"embeddings.f32' is there already: give --overwrit"):
        build_gallery(network, pictures, out)
    assert (out / 'embeddings.f32').read_text() == 'of somebody else'
    assert len(build_gallery(network, pictures, out, overwrite=True)) == 12
    gallery = build_gallery(network, sorted(pictures.iterdir())[0], out, overwrite=True)
    assert len(gallery) == 1


# ---- networks ----


def test_another_network_is_refused(
    network: MultiTaskInferencer, config: Config, pictures: Path, tmp_path: Path
) -> None:
    out = tmp_path / 'gallery'
    gallery = build_gallery(network, pictures, out)
    other = MultiTaskInferencer(None, save(config, tmp_path / 'other.pth', seed=1), 'cpu')
    with pytest.raises(ValueError, match='another network than this one: its weights are other'):
        find_matches(other, gallery, pictures)
    with pytest.raises(FileExistsError, match='its weights are other ones'):
        build_gallery(other, pictures, out)
    with pytest.raises(FileExistsError, match=r'its passes is shared, not own, its size is \(64, '):
        build_gallery(network, pictures, out, passes='shared', size=(64, 32))


def test_another_size_is_refused(
    checkpoint: Path, network: MultiTaskInferencer, pictures: Path, tmp_path: Path
) -> None:
    gallery = build_gallery(network, pictures, tmp_path / 'gallery')
    resize = dict(type='Resize', scale=(16, 32))
    load = dict(type='LoadImageFromFile')
    options = {'val_dataloader.reid.dataset.pipeline': [load, resize, dict(type='PackInputs')]}
    other = MultiTaskInferencer(None, checkpoint, 'cpu', options)
    with pytest.raises(ValueError, match=r'its size is \(16, 32\), not None'):
        find_matches(other, gallery, pictures)
    with pytest.raises(ValueError, match='leave the size out'):
        look_of(network, size=(32, 32))


def test_the_same_network_in_another_file_is_taken(
    checkpoint: Path, network: MultiTaskInferencer, pictures: Path, tmp_path: Path
) -> None:
    gallery = build_gallery(network, pictures, tmp_path / 'gallery')
    file, _ = publish(checkpoint, tmp_path / 'published')
    published = MultiTaskInferencer(None, file, 'cpu')
    (matches,) = find_matches(published, gallery, sorted(pictures.iterdir())[4], top=1)
    assert matches.nearest[0].picture == matches.query.source


def test_the_task_is_the_one_with_an_embedding(data: Path, network: MultiTaskInferencer) -> None:
    assert look_of(network).task == 'reid'
    with pytest.raises(ValueError, match=r"'pose' gives no embedding.*\['pose', 'reid'\]"):
        look_of(network, 'pose')
    with pytest.raises(KeyError, match=r"did you mean 'reid'"):
        look_of(network, 'reidd')
    none = MultiTaskInferencer(tiny_config(data, ('attribute', 'pose')), device='cpu')
    with pytest.raises(ValueError, match=r"no task gives an embedding.*\['attribute', 'pose'\]"):
        look_of(none)
    cfg = tiny_config(data, ('reid', 'pose'))
    for key in ('train_dataloader', 'val_dataloader', 'val_evaluator'):
        cfg[key].again = cfg[key].reid
    cfg.model.tasks.again = cfg.model.tasks.reid
    two = MultiTaskInferencer(cfg, device='cpu')
    with pytest.raises(ValueError, match=r"choose one of \['reid', 'again'\]"):
        look_of(two)
    assert look_of(two, 'again').task == 'again'


def test_the_distance_is_that_of_the_metric(data: Path) -> None:
    cfg = tiny_config(data, ('reid', 'pose'))
    assert look_of(MultiTaskInferencer(cfg, device='cpu')).distance == 'cosine'
    cfg.val_evaluator.reid.distance = 'euclidean'
    assert look_of(MultiTaskInferencer(cfg, device='cpu')).distance == 'euclidean'


@pytest.mark.parametrize(
    ('name', 'content', 'message'),
    [
        ('gallery.json', '{}', 'was not written by'),
        ('gallery.json', 'text', 'was not written by'),
        ('pictures.jsonl', '"one.png"\n', 'is broken'),
        ('embeddings.f32', '', 'is broken'),
    ],
)
def test_a_broken_gallery_is_said(tmp_path: Path, name: str, content: str, message: str) -> None:
    folder = write_gallery(tmp_path / 'gallery', np.ones((3, 4)))
    (folder / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        Gallery(folder)
    with pytest.raises(FileNotFoundError, match=r'there is no gallery .*nowhere'):
        Gallery(tmp_path / 'nowhere')


# ---- files and the command ----


def test_the_command_builds_and_finds(
    checkpoint: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (pictures / 'empty.jpg').touch()
    gallery, out = tmp_path / 'gallery', tmp_path / 'found'
    network = ['-', str(checkpoint)]
    main(['gallery', 'build', *network, str(pictures), '--out', str(gallery), '--device', 'cpu'])
    assert 'has 12 pictures; 1 could not be read.' in capsys.readouterr().out
    (pictures / 'empty.jpg').unlink()
    query = sorted(pictures.iterdir())[7]
    sorted(pictures.iterdir())[0].unlink()  # a match that cannot be shown any more
    command = ['gallery', 'query', *network, str(gallery), str(query), '--device', 'cpu']
    main([*command, '--top', '12', '--out', str(out)])
    table = capsys.readouterr().out
    assert query.name in table.replace('\n', '') and '0.0000' in table
    (line,) = (out / 'matches.jsonl').read_text().splitlines()
    said = json.loads(line)
    assert said['source'] == str(query) and len(said['matches']) == 12
    assert said['matches'][0] == dict(rank=1, picture=str(query), distance=0.0)
    distances = [match['distance'] for match in said['matches']]
    assert distances == sorted(distances) and distances[1] > 0
    with Image.open(out / f'{query.stem}.png') as drawn:
        assert min(drawn.size) > 300
    with pytest.raises(SystemExit):
        main([*command, '--out', str(out)])
    message = capsys.readouterr().err.splitlines()[-2]
    assert message.startswith('error: ') and 'is there already: give --overwrite' in message
    main([*command, '--out', str(out), '--overwrite'])
    other = sorted(pictures.iterdir())[0]
    main([*command[:-3], str(other), '--device', 'cpu'])
    assert other.name in capsys.readouterr().out.replace('\n', '')


def test_files_of_queries_are_refused_before_anything_is_predicted(
    network: MultiTaskInferencer, pictures: Path, tmp_path: Path
) -> None:
    gallery = build_gallery(network, pictures, tmp_path / 'gallery')
    (pictures / 'a[1].png').write_bytes(sorted(pictures.iterdir())[0].read_bytes())
    out = tmp_path / 'out'
    out.mkdir()
    cv2.imwrite(str(out / 'a[1].png'), np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(FileExistsError, match=r'a\[1\].png'):
        query_to_folder(network, gallery, pictures, out)
    (out / 'a[1].png').unlink()
    (out / 'matches.jsonl').touch()
    with pytest.raises(FileExistsError, match=r'matches\.jsonl'):
        query_to_folder(network, gallery, pictures, out)
    with pytest.raises(NotADirectoryError):
        query_to_folder(network, gallery, pictures, out / 'matches.jsonl')
