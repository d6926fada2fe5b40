"""A drawing surface with smooth edges: all is drawn twice as large and then reduced.

Positions and sizes are in pixels of the finished picture, y downwards. A colour may have a fourth
part, its opacity from 0 to 255.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import matplotlib
from PIL import Image, ImageDraw, ImageFont

from envs.scene import Point

RGBA = tuple[int, ...]  # red, green, blue and and optionally opacity
Box = tuple[float, float, float, float]  # left, top, right, bottom
SCALE = 2
WHITE: RGBA = (255, 255, 255)


class DrawingSurface:
    """A white picture to draw shapes and text on.

    Args:
        width: in pixels.
        height: in pixels.
    """

    def __init__(self, width: int, height: int):
        self._image = Image.new("RGB", (width * SCALE, height * SCALE), WHITE)
        self._draw = ImageDraw.Draw(self._image, "RGBA")

    def finished(self) -> Image.Image:
        """The picture in its final size."""
        return self._image.reduce(SCALE)

    def disc(
        self, at: Point, radius: float, fill: RGBA | None, edge: RGBA, width: float = 1
    ) -> None:
        """A disc with an edge; without `fill` a ring."""
        box = _scaled(around(at, radius, radius))
        self._draw.ellipse(box, fill=fill, outline=edge, width=round(width * SCALE))

    def square(self, at: Point, radius: float, fill: RGBA) -> None:
        """A square with round corners; `radius` is half its side."""
        self.panel(around(at, radius, radius), fill, fill, radius / 3)

    def panel(
        self, box: Box, fill: RGBA | None, edge: RGBA, corner: float = 0, width: float = 1
    ) -> None:
        """A rectangle with round corners."""
        self._draw.rounded_rectangle(
            _scaled(box), corner * SCALE, fill=fill, outline=edge, width=round(width * SCALE)
        )

    def line(self, points: Sequence[Point], colour: RGBA, width: float) -> None:
        """A line through all points."""
        flat = [part * SCALE for point in points for part in point]
        self._draw.line(flat, fill=colour, width=max(1, round(width * SCALE)), joint="curve")

    def polygon(self, points: Sequence[Point], colour: RGBA) -> None:
        """A filled shape."""
        self._draw.polygon([part * SCALE for point in points for part in point], fill=colour)

    def text(
        self,
        at: Point,
        text: str,
        size: int,
        colour: RGBA,
        anchor: str = "mm",
        bold: bool = False,
        halo: RGBA | None = None,
    ) -> None:
        """A text; `anchor` is the name of the point of it that lies at `at`, as in Pillow."""
        position, font = (at[0] * SCALE, at[1] * SCALE), _font(size * SCALE, bold)
        width = 0 if halo is None else 2 * SCALE
        self._draw.text(position, text, colour, font, anchor, stroke_width=width, stroke_fill=halo)

    def paste(self, picture: Image.Image, box: Box) -> None:
        """Another picture, resized to fill a box."""
        left, top, right, bottom = map(round, _scaled(box))
        self._image.paste(picture.resize((right - left, bottom - top)), (left, top))


def text_width(text: str, size: int, bold: bool = False) -> float:
    """Width of a text in pixels."""
    return _font(size * SCALE, bold).getlength(text) / SCALE


def around(at: Point, half_width: float, half_height: float) -> Box:
    """The box with `at` in its middle."""
    x, y = at
    return x - half_width, y - half_height, x + half_width, y + half_height


@cache
def _font(size: int, bold: bool) -> ImageFont.FreeTypeFont:
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(matplotlib.get_data_path(), "fonts", "ttf", name)), size)


def _scaled(box: Box) -> Box:
    left, top, right, bottom = (part * SCALE for part in box)
    return left, top, right, bottom
