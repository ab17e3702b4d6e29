"""A page in the browser: drop a picture, and see what each task says of it, and whom it is like."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from PIL import Image

from mmgradsplit.functional.placement import Size
from mmgradsplit.utils import import_extra
from mmgradsplit.visualization import draw_panel

from .gallery import Gallery
from .inferencer import MultiTaskInferencer, Passes
from .matches import find_matches

PRECAUTION = (
    'Networks that recognise people can be misused for unlawful surveillance: use this one only '
    'where those who are seen have agreed to it, or the law allows it.'
)
# Seconds: how often uploaded pictures are looked for, and how old they may become.
TIDY_UP = (60, 600)
# Not the one that shares a picture with the world.
BUTTONS = ['download', 'fullscreen']


class PageFunction:
    """What the page calls when a picture is dropped on it.

    Args:
        inferencer: The network.
        gallery: Where neighbours are searched.
        top: Number of neighbours.
        passes: As for :meth:`~mmgradsplit.inference.MultiTaskInferencer.stream`, as is ``size``.
        size: (width, height) of the shared input.

    Raises:
        ValueError: If the gallery was made with another network, or ``top`` is less than 1.
    """

    def __init__(
        self,
        inferencer: MultiTaskInferencer,
        gallery: Gallery | None = None,
        top: int = 8,
        passes: Passes = 'shared',
        size: Size | None = None,
    ) -> None:
        if top < 1:
            raise ValueError(f'top must be at least 1, got {top}')
        if gallery is not None:
            gallery.check(inferencer)
        self.inferencer, self.gallery, self.top = inferencer, gallery, top
        self.options: Mapping[str, Any] = dict(passes=passes, size=size)

    def __call__(
        self, picture: str | None
    ) -> tuple[Image.Image | None, list[tuple[Image.Image, str]], dict[str, Any]]:
        """Look at a picture.

        Args:
            picture: Its file; None where it was taken away.

        Returns:
            The panel of all tasks, the neighbours with their distances and names, and the numbers.

        Raises:
            ValueError: If it cannot be read.
        """
        if picture is None:
            return None, [], {}
        (result,) = self.inferencer.stream(picture, **self.options)
        assert result.image is not None
        panel = io.BytesIO()
        figure = draw_panel(result.image, result.samples, self.inferencer.metas)
        figure.savefig(panel, dpi=110, facecolor='white')
        neighbours = []
        if self.gallery is not None:
            (matches,) = find_matches(self.inferencer, self.gallery, picture, top=self.top)
            neighbours = [
                (
                    Image.fromarray(match.image()[..., ::-1]),
                    f'{match.distance:.3f} {Path(match.picture).name}',
                )
                for match in matches.nearest
            ]
        numbers = result.as_json()
        return Image.open(panel), neighbours, dict(tasks=numbers['tasks'])


def import_gradio() -> Any:
    """Gradio, that sends nothing anywhere.

    Raises:
        ImportError: If it is not installed.
    """
    os.environ['GRADIO_ANALYTICS_ENABLED'] = '0'
    return import_extra('gradio', 'demo', 'the page')


def make_page(look: PageFunction, title: str = 'mmgradsplit') -> Any:
    """The page.

    Args:
        look: What it calls.
        title: Its heading.

    Returns:
        Gradio's ``Blocks``, to be launched.

    Raises:
        ImportError: If gradio is not installed.
    """
    gr = import_gradio()
    with gr.Blocks(title=title, analytics_enabled=False, delete_cache=TIDY_UP) as page:
        gr.Markdown(f'# {title}\nDrop a picture of a person. {PRECAUTION}')
        with gr.Row():
            picture = gr.Image(
                label='picture',
                type='filepath',
                image_mode=None,
                height=420,
                scale=1,
                buttons=BUTTONS,
            )
            panel = gr.Image(
                label=', '.join(look.inferencer.model.tasks),
                format='png',
                interactive=False,
                height=420,
                scale=4,
                buttons=BUTTONS,
            )
        shown_gallery = look.gallery is not None
        gr.Markdown('**nearest in the gallery**, with their distances', visible=shown_gallery)
        neighbours = gr.Gallery(
            show_label=False,
            columns=4,
            height='auto',
            object_fit='contain',
            format='png',
            interactive=False,
            visible=shown_gallery,
            buttons=BUTTONS,
        )
        with gr.Accordion('numbers', open=False):
            numbers = gr.JSON(show_label=False)

        def shown(file: str | None) -> Any:
            try:
                return look(file)
            except ValueError as error:
                message = str(error).replace(str(file), Path(str(file)).name)
                raise gr.Error(message) from None

        # As it was uploaded: we read more kinds, and say in a sentence what is wrong with it.
        picture.preprocess = lambda uploaded: uploaded and uploaded.path

        picture.change(shown, picture, [panel, neighbours, numbers], api_name='look')
    return page


def serve(
    config: str | Path | Config | None,
    checkpoint: str | Path,
    *,
    gallery: str | Path | None = None,
    top: int = 8,
    passes: Passes = 'shared',
    size: Size | None = None,
    host: str = '127.0.0.1',
    port: int = 7860,
    device: str | None = None,
    cfg_options: Mapping[str, Any] | None = None,
) -> None:
    """Show the page until it is stopped.

    Args:
        config: As for :class:`~mmgradsplit.inference.MultiTaskInferencer`, as are ``checkpoint``,
            ``device`` and ``cfg_options``.
        checkpoint: File with the weights.
        gallery: Folder of a gallery, to show neighbours.
        top: Number of neighbours.
        passes: As for :class:`PageFunction`, as is ``size``.
        size: (width, height) of the shared input.
        host: Address to listen at.
        port: Port to listen at.
        device: Such as ``'cuda:0'``.
        cfg_options: Values for keys of the config.

    Raises:
        FileNotFoundError: If a file is not there.
        ImportError: If gradio is not installed.
        OSError: If the port is taken.
        ValueError: If config, checkpoint and gallery do not fit.
    """
    import_gradio()  # before the network is loaded
    found = None if gallery is None else Gallery(gallery)
    inferencer = MultiTaskInferencer(config, checkpoint, device, cfg_options)
    look = PageFunction(inferencer, found, top, passes, size)
    # Gradio keeps what is uploaded; nothing of it is to stay.
    with tempfile.TemporaryDirectory(prefix='mmgradsplit_') as folder:
        os.environ['GRADIO_TEMP_DIR'] = folder
        page = make_page(look, title=f'mmgradsplit: {Path(checkpoint).name}')
        _, address, _ = page.launch(
            server_name=host,
            server_port=port,
            share=False,
            show_error=True,
            ssr_mode=False,
            pwa=False,
            footer_links=[],
            quiet=True,
            prevent_thread_lock=True,
        )
        print(f'The page is at {address} until Ctrl-C stops it.', flush=True)
        page.block_thread()
