"""Where an image lies in a network's input: scale and shift, which undo each other."""

from __future__ import annotations

from dataclasses import dataclass

Size = tuple[int, int]
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Placement:
    """An image in a network's input: ``p_input = scale * p_image + shift``, for x and for y.

    Points are continuous: the pixel with index i reaches from i to i + 1, its middle is i + 0.5.

    Attributes:
        image_size: (width, height) of the image.
        input_size: (width, height) of the input.
        scale: Factors of x and y.
        shift: Where the image's upper left corner lies in the input.
    """

    image_size: Size
    input_size: Size
    scale: tuple[float, float]
    shift: tuple[float, float] = (0.0, 0.0)

    @property
    def content(self) -> Size:
        """(width, height) of the image in the input, in whole pixels."""
        width, height = (
            round(factor * length)
            for factor, length in zip(self.scale, self.image_size, strict=True)
        )
        return width, height

    @property
    def padding(self) -> Size:
        """Columns on the right and rows below that are not of the image."""
        return self.input_size[0] - self.content[0], self.input_size[1] - self.content[1]

    @property
    def index_shift(self) -> tuple[float, float]:
        """The shift between indices of pixels: ``i_input = scale * i_image + index_shift``."""
        x, y = (
            shift + factor / 2 - 0.5 for factor, shift in zip(self.scale, self.shift, strict=True)
        )
        return x, y


def stretch(image_size: Size, input_size: Size) -> Placement:
    """The image fills the input; its aspect gives way.

    Args:
        image_size: (width, height) of the image.
        input_size: (width, height) of the input.
    """
    scale = (input_size[0] / image_size[0], input_size[1] / image_size[1])
    return Placement(image_size, input_size, scale)


def letterbox(image_size: Size, input_size: Size) -> Placement:
    """The image keeps its aspect, up to a rounded pixel, and lies in the upper left corner.

    Right and below is where the toolboxes pad, so each of them undoes it by itself.

    Args:
        image_size: (width, height) of the image.
        input_size: (width, height) of the input.
    """
    factor = min(input_size[0] / image_size[0], input_size[1] / image_size[1])
    content = [max(1, round(factor * length)) for length in image_size]
    scale = (content[0] / image_size[0], content[1] / image_size[1])
    return Placement(image_size, input_size, scale)


def top_down(image_size: Size, input_size: Size, box: Box, padding: float) -> Placement:
    """A box is in the middle of the input, enlarged by ``padding``, with its aspect kept.

    As in mmpose's ``GetBBoxCenterScale`` and ``TopdownAffine``, which map indices of pixels.

    Args:
        image_size: (width, height) of the image.
        input_size: (width, height) of the input.
        box: x1, y1, x2, y2 in the image.
        padding: Factor of the box's width and height.
    """
    width, height = padding * (box[2] - box[0]), padding * (box[3] - box[1])
    factor = min(input_size[0] / width, input_size[1] / height)
    # TopdownAffine takes indices for points, hence the half pixels.
    shift = tuple(
        length / 2 - factor * (low + high) / 2 - factor / 2 + 0.5
        for length, low, high in zip(input_size, box[:2], box[2:], strict=True)
    )
    return Placement(image_size, input_size, (factor, factor), (shift[0], shift[1]))
