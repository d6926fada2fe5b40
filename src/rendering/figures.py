"""Paints agents with their names and words, and attention as arrows between them."""

import math
from collections.abc import Iterable

from torch import Tensor

from envs.scene import Figure, Point
from rendering.canvas import WHITE, Box, Canvas, Ink, around, text_width

DARK: Ink = (30, 32, 36)
ATTENTION: Ink = (190, 30, 140)
FAINT = 0.02  # attention below this is not drawn
NAME_SIZE, WORD_SIZE = 11, 15
WIDEST = 8  # pixels of an arrow that has all the attention
BEND = 0.14  # how far an arrow leaves the straight line, as a part of its length
Placed = tuple[Figure, Point, float]  # an agent, its place and its radius in the picture


def paint_figures(canvas: Canvas, placed: list[Placed], whole: Box) -> None:
    """Agents, their words in bubbles and their names, which keep out of each other's way."""
    for figure, at, radius in placed:
        canvas.disc(at, radius, figure.colour, WHITE, 1.5)
    taken = [around(at, radius, radius) for _, at, radius in placed]
    for figure, at, radius in placed:
        if figure.says is not None:
            box = _free(_beside(at, radius * 0.75 + 13, 12, 12), taken, whole)
            _paint_bubble(canvas, figure, at, box)
            taken.append(box)
    for figure, at, radius in placed:
        half = text_width(figure.name, NAME_SIZE) / 2
        box = _free(_around(at, radius, half, NAME_SIZE * 0.6), taken, whole)
        centre = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
        canvas.text(centre, figure.name, NAME_SIZE, DARK, halo=WHITE)
        taken.append(box)


def paint_attention(
    canvas: Canvas, weights: Tensor, places: list[Point], radii: list[float]
) -> None:
    """Arrows between agents, rings for what an agent attends to itself.

    Args:
        canvas: what to draw on.
        weights: attention, [N, N], from agent (row) to agent (column).
        places: of the N agents in the picture.
        radii: of the N agents in the picture.
    """
    for i, row in enumerate(weights.tolist()):
        for j, weight in enumerate(row):
            ink = (*ATTENTION, round(70 + 130 * weight))
            if weight < FAINT:
                continue
            if i == j:
                width = max(1.0, WIDEST * weight)
                canvas.disc(places[i], radii[i] + 2 + width, None, ink, width)
            else:
                _paint_arrow(canvas, places[i], places[j], radii[j] + 4, ink, WIDEST * weight)


def _paint_arrow(
    canvas: Canvas, start: Point, end: Point, gap: float, ink: Ink, width: float
) -> None:
    """An arrow that bends to its right, so that the one back does not cover it."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = math.hypot(dx, dy)
    if length <= gap:
        return
    middle = (start[0] + dx / 2 - BEND * dy, start[1] + dy / 2 + BEND * dx)
    stop = 1 - gap / length
    head = 5 + width
    steps = [k / 16 * stop for k in range(17)]
    curve = [_on_curve(start, middle, end, t) for t in steps]
    tip, neck = curve[-1], _on_curve(start, middle, end, max(0.0, stop - head / length))
    canvas.line([point for point in curve if math.dist(point, tip) >= head] + [neck], ink, width)
    angle = math.atan2(tip[1] - neck[1], tip[0] - neck[0])
    side = [
        (tip[0] - head * math.cos(angle + turn), tip[1] - head * math.sin(angle + turn))
        for turn in (0.5, -0.5)
    ]
    canvas.polygon([tip, *side], ink)


def _on_curve(start: Point, middle: Point, end: Point, t: float) -> Point:
    """A point of the quadratic curve that starts towards `middle`; t runs from 0 to 1."""
    a, b, c = (1 - t) ** 2, 2 * t * (1 - t), t**2
    x, y = (a * start[k] + b * middle[k] + c * end[k] for k in range(2))
    return x, y


def _paint_bubble(canvas: Canvas, figure: Figure, at: Point, box: Box) -> None:
    """A word, with a tail that shows who says it."""
    centre = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    dx, dy = centre[0] - at[0], centre[1] - at[1]
    norm = max(math.hypot(dx, dy), 1e-9)
    foot = (-dy / norm * 5, dx / norm * 5)
    root = [(centre[0] + s * foot[0], centre[1] + s * foot[1]) for s in (1, -1)]
    tip = (at[0] + dx * 0.35, at[1] + dy * 0.35)
    canvas.polygon([tip, *root], figure.colour)
    canvas.panel(box, WHITE, figure.colour, corner=7, width=2)
    assert figure.says is not None
    canvas.text(centre, letter(figure.says), WORD_SIZE, DARK, bold=True)


def letter(symbol: int) -> str:
    """A symbol as it is shown: A for 0, B for 1 and so on."""
    return chr(ord("A") + symbol)


def _beside(at: Point, away: float, half_width: float, half_height: float) -> list[Box]:
    """Boxes at the corners of a figure: upper right, upper left, lower right, lower left."""
    corners = ((1, -1), (-1, -1), (1, 1), (-1, 1))
    return [
        around((at[0] + x * away, at[1] + y * away), half_width, half_height) for x, y in corners
    ]


def _around(at: Point, radius: float, half_width: float, half_height: float) -> list[Box]:
    """Boxes below, above, right and left of a figure."""
    up, aside = radius + 4 + half_height, radius + 6 + half_width
    offsets = ((0, up), (0, -up), (aside, 0), (-aside, 0), (0, up + 14), (0, -up - 14))
    return [around((at[0] + x, at[1] + y), half_width, half_height) for x, y in offsets]


def _free(candidates: list[Box], taken: Iterable[Box], whole: Box) -> Box:
    """The first candidate inside of `whole` that covers nothing, or the one that covers least."""
    taken = list(taken)

    def covered(box: Box) -> float:
        inside = _overlap(box, whole)
        outside = (box[2] - box[0]) * (box[3] - box[1]) - inside
        return 4 * outside + sum(_overlap(box, other) for other in taken)

    return min(candidates, key=covered)


def _overlap(a: Box, b: Box) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    return max(width, 0) * max(height, 0)
