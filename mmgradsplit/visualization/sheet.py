"""What the pictures share: a figure laid out in inches, and squares with a text."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from .cells import INK


class Sheet(Figure):
    """A white figure whose places are in inches from its upper left corner.

    Args:
        width: Width of the figure, in inches.
        height: Height of the figure, in inches.
    """

    def __init__(self, width: float, height: float) -> None:
        super().__init__(figsize=(width, height), facecolor='white')
        self.width, self.height = width, height

    def place(self, left: float, top: float, width: float, height: float) -> Axes:
        """Add axes of a width and height."""
        bottom = 1 - (top + height) / self.height
        size = (width / self.width, height / self.height)
        return self.add_axes((left / self.width, bottom, *size))

    def write(self, left: float, top: float, text: str, **style: Any) -> None:
        """Write a text, whose middle is at a height."""
        style = dict(va='center', color=INK) | style
        self.text(left / self.width, 1 - top / self.height, text, **style)


def draw_square(
    axes: Axes, column: int, row: int, text: str, colour: Any, *,
    size: float = 0.94, fontsize: float = 10, ink: str = INK, **style: Any,
) -> str:  # fmt: skip
    """Draw a square around (column, row), with a text that is white where the square is dark.

    Args:
        axes: Where to draw.
        column: x of its middle.
        row: y of its middle.
        text: What is written into it.
        colour: Colour of the square.
        size: Size of the square.
        fontsize: Size of the text.
        ink: Colour of the text where the square is light.
        **style: Style of the square's edge, which is not drawn by default.

    Returns:
        The colour of the text.
    """
    corner = (column - size / 2, row - size / 2)
    edge = dict(linewidth=0) | style
    axes.add_patch(Rectangle(corner, size, size, facecolor=colour, **edge))
    red, green, blue = to_rgb(colour)
    ink = 'white' if 0.3 * red + 0.59 * green + 0.11 * blue < 0.5 else ink
    axes.text(column, row, text, ha='center', va='center', fontsize=fontsize, color=ink)
    return ink
