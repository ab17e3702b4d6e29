"""The page in the browser: what is behind it, and what it must not do."""

import json
import re
import socket
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from fixtures_training import tiny_config, write_data

from mmgradsplit.cli import main
from mmgradsplit.inference import Gallery, MultiTaskInferencer, build_gallery
from mmgradsplit.inference import serve as serve_module
from mmgradsplit.inference.serve import PageFunction, make_page, serve


@pytest.fixture(scope='module')
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six pictures in plain colours, which any network tells apart."""
    folder = tmp_path_factory.mktemp('pictures')
    colours = np.random.default_rng(0).integers(0, 256, (6, 1, 1, 3), np.uint8)
    for i, colour in enumerate(colours):
        cv2.imwrite(str(folder / f'{i}.png'), colour.repeat(40, axis=0).repeat(24, axis=1))
    return folder


@pytest.fixture(scope='module')
def network(tmp_path_factory: pytest.TempPathFactory) -> MultiTaskInferencer:
    data = write_data(tmp_path_factory.mktemp('data'), number=3)
    cfg = tiny_config(data, ('attribute', 'reid', 'pose'))
    for task in ('attribute', 'reid'):
        cfg.model.tasks[task].data_preprocessor.to_rgb = True  # as pose has it
    cfg.model.tasks.pose.test_cfg.flip_test = False
    inferencer = MultiTaskInferencer(cfg, device='cpu')
    torch.manual_seed(0)
    for parameter in inferencer.model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return inferencer


@pytest.fixture(scope='module')
def gallery(
    network: MultiTaskInferencer, pictures: Path, tmp_path_factory: pytest.TempPathFactory
) -> Gallery:
    return build_gallery(network, pictures, tmp_path_factory.mktemp('gallery'))


def test_a_picture_gives_panel_neighbours_and_numbers(
    network: MultiTaskInferencer, gallery: Gallery, pictures: Path
) -> None:
    panel, neighbours, numbers = PageFunction(network, gallery, top=3)(str(pictures / '4.png'))
    assert panel is not None and panel.width > panel.height > 300
    assert len(neighbours) == 3
    image, caption = neighbours[0]
    assert caption == '0.000 4.png'
    # A picture of PIL is RGB, one of OpenCV BGR.
    expected = cv2.imread(str(pictures / '4.png'))[0, 0, ::-1]
    assert np.asarray(image)[0, 0].tolist() == expected.tolist()
    distances = [float(text.split()[0]) for _, text in neighbours]
    assert distances == sorted(distances)
    (result,) = network(str(pictures / '4.png'))
    assert numbers == dict(tasks=result.as_json()['tasks'])
    assert {*numbers['tasks']} == {'attribute', 'reid', 'pose'}


def test_without_gallery_there_are_no_neighbours(
    network: MultiTaskInferencer, pictures: Path
) -> None:
    look = PageFunction(network, passes='own')
    panel, neighbours, numbers = look(str(pictures / '0.png'))
    assert panel is not None and neighbours == [] and numbers
    assert look(None) == (None, [], {})


def test_what_does_not_fit_is_said_before_the_page_is_there(
    network: MultiTaskInferencer, gallery: Gallery, tmp_path: Path
) -> None:
    other = MultiTaskInferencer(network.model.cfg, device='cpu')
    with pytest.raises(ValueError, match='made with another network'):
        PageFunction(other, gallery)
    with pytest.raises(ValueError, match='top must be at least 1'):
        PageFunction(network, gallery, top=0)


def test_a_missing_gradio_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is said before anything else is looked at."""
    monkeypatch.setitem(sys.modules, 'gradio', None)
    with pytest.raises(SystemExit) as stopped:
        main(['serve', '-', 'no_checkpoint.pth'])
    assert stopped.value.code == 1
    message = capsys.readouterr().err.splitlines()[0]
    assert message == (
        "error: the page needs gradio, which is not installed: pip install 'mmgradsplit[demo]'"
    )


def test_the_command_is_seen_on_this_machine_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}
    monkeypatch.setattr(serve_module, 'serve', lambda *args, **options: given.update(options))
    main(['serve', '-', 'some.pth', '--gallery', 'people', '--size', '64', '128'])
    assert given['host'] == '127.0.0.1' and given['port'] == 7860
    assert (given['gallery'], given['size'], given['passes']) == ('people', (64, 128), 'shared')


# ---- with gradio ----


def ask(httpx: Any, address: str, picture: Path) -> tuple[str, Any]:
    """As a browser asks, by HTTP alone: the clients of gradio themselves ask other machines.

    Returns:
        ``'complete'`` or ``'error'``, and what was said.
    """
    api = f'{address}gradio_api'
    (path,) = httpx.post(f'{api}/upload', files={'files': picture.open('rb')}).json()
    data = [dict(path=path, orig_name=picture.name, meta=dict(_type='gradio.FileData'))]
    event = httpx.post(f'{api}/call/look', json=dict(data=data)).json()['event_id']
    *_, kind, content = httpx.get(f'{api}/call/look/{event}', timeout=60).text.split('\n')[:-2]
    return kind.removeprefix('event: '), json.loads(content.removeprefix('data: '))


def test_the_page_answers_and_keeps_to_itself(
    network: MultiTaskInferencer,
    gallery: Gallery,
    pictures: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As a browser asks: nothing of another machine is on the page, nothing is left behind."""
    pytest.importorskip('gradio', reason='gradio is not installed (extra "demo")')
    httpx = pytest.importorskip('httpx')
    from gradio import Blocks

    monkeypatch.setenv('GRADIO_TEMP_DIR', str(tmp_path))  # is put back after the test
    monkeypatch.setenv('GRADIO_ANALYTICS_ENABLED', 'True')
    monkeypatch.setattr(serve_module, 'MultiTaskInferencer', lambda *_: network)
    seen: dict[str, Any] = {}
    asked: set[str] = set()
    connect, resolve = socket.socket.connect, socket.getaddrinfo

    def connected(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX:
            asked.add(address[0])
        connect(self, address)

    def resolved(host: Any, *args: Any, **options: Any) -> Any:
        asked.add(host)
        return resolve(host, *args, **options)

    def visit(page: Any) -> None:
        """In place of waiting for Ctrl-C."""
        seen['page'] = page
        seen['folder'] = Path(page.GRADIO_CACHE)
        address = page.local_url
        assert address.startswith('http://127.0.0.1:') and page.share_url is None
        html = httpx.get(address).text
        loaded = re.findall(
            r'<(?:script|link|img|iframe)[^>]*(?:src|href)="(https?://[^"]+)"', html
        )
        assert all(url.startswith(address) for url in loaded), loaded
        kind, (panel, neighbours, numbers) = ask(httpx, address, pictures / '2.png')
        assert kind == 'complete'
        seen['panel'] = cv2.imread(panel['path'])
        seen['captions'] = [each['caption'] for each in neighbours]
        seen['numbers'] = numbers
        broken = tmp_path / 'broken.png'
        broken.write_text('no picture')
        kind, said = ask(httpx, address, broken)
        assert kind == 'error' and "'broken.png' is not an image that" in str(said)
        seen['uploads'] = [*seen['folder'].rglob('2.png')]
        page.close()

    monkeypatch.setattr(socket.socket, 'connect', connected)
    monkeypatch.setattr(socket, 'getaddrinfo', resolved)
    monkeypatch.setattr(Blocks, 'block_thread', visit)
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    serve(None, 'network.pth', gallery=gallery.folder, top=2, port=port)
    assert f'The page is at http://127.0.0.1:{port}' in capsys.readouterr().out
    assert seen['panel'].shape[1] > 300
    assert seen['captions'][0] == '0.000 2.png' and len(seen['captions']) == 2
    assert {*seen['numbers']['tasks']} == {'attribute', 'reid', 'pose'}
    assert not seen['page'].analytics_enabled and asked <= {'127.0.0.1', '::1', 'localhost'}
    assert seen['uploads'] and not seen['folder'].exists()


def test_pictures_are_not_offered_to_be_shared(
    network: MultiTaskInferencer, gallery: Gallery
) -> None:
    pytest.importorskip('gradio', reason='gradio is not installed (extra "demo")')
    page = make_page(PageFunction(network, gallery))
    of_pictures = [
        part for part in page.config['components'] if part['type'] in ('image', 'gallery')
    ]
    assert len(of_pictures) == 3
    for part in of_pictures:
        assert 'share' not in part['props']['buttons']
