"""Draws agents with their names and symbols, and attention as arrows between them."""

import math
from itertools import pairwise

from torch import Tensor

from envs.scene import AgentShape, Point
from rendering.drawing_surface import RGBA, WHITE, Box, DrawingSurface, around, text_width

DARK: RGBA = (30, 32, 36)
ATTENTION: RGBA = (190, 30, 140)
FAINT = 0.02  # attention below this is not drawn
NAME_SIZE, SYMBOL_SIZE = 11, 15
WIDEST = 8  # pixels of an arrow that has all the attention
BEND = 0.14  # how far an arrow leaves the straight line, as a part of its length
Placed = tuple[AgentShape, Point, float]  # an agent, its place and its radius in the picture


def draw_agents(
    surface: DrawingSurface, placed: list[Placed], whole: Box, keep_free: list[Box]
) -> None:
    """Draw agents, then bubbles with their symbols, then names, without overlap where possible.

    Args:
        surface: what to draw on.
        placed: the agents.
        whole: where bubbles and names may be.
        keep_free: boxes that they should not cover.
    """
    for agent, at, radius in placed:
        surface.disc(at, radius, agent.colour, WHITE, 1.5)
    taken = [*keep_free, *(around(at, radius, radius) for _, at, radius in placed)]
    for agent, at, radius in placed:
        if agent.says is not None:
            box = free_box(_beside(at, radius + 14, 12, 12), taken, whole)
            _draw_bubble(surface, agent, at, box)
            taken.append(box)
    for agent, at, radius in placed:
        half = text_width(agent.name, NAME_SIZE) / 2
        sides = _around(at, radius, half, NAME_SIZE * 0.6)
        if agent.at is None and at[1] < (whole[1] + whole[3]) / 2:
            sides = sides[1:]  # above rather than below, where arrows come from
        box = free_box(sides, taken, whole)
        centre = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
        surface.text(centre, agent.name, NAME_SIZE, DARK, halo=WHITE)
        taken.append(box)


def draw_attention(
    surface: DrawingSurface, weights: Tensor, places: list[Point], radii: list[float]
) -> None:
    """Draw arrows between agents, and rings for what an agent attends to itself.

    Args:
        surface: what to draw on.
        weights: attention, [N, N], from agent (row) to agent (column).
        places: of the N agents in the picture.
        radii: of the N agents in the picture.
    """
    for i, row in enumerate(weights.tolist()):
        for j, weight in enumerate(row):
            colour = (*ATTENTION, round(70 + 130 * weight))
            if weight < FAINT:
                continue
            if i == j:
                width = max(1.0, WIDEST / 2 * weight)
                surface.disc(places[i], radii[i] + 2 + width, None, colour, width)
            else:
                draw_arrow(surface, places[i], places[j], radii[j] + 4, colour, WIDEST * weight)


def draw_arrow(
    surface: DrawingSurface,
    start: Point,
    end: Point,
    gap: float,
    colour: RGBA,
    width: float,
    bend: float = BEND,
) -> None:
    """Draw an arrow that bends aside, so that the arrow back does not cover it.

    Args:
        surface: what to draw on.
        start: where it begins.
        end: where it would end without a gap.
        gap: between its tip and `end`.
        colour: its colour.
        width: of its shaft.
        bend: how far it leaves the straight line, as a part of its length.
    """
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = math.hypot(dx, dy)
    if length <= gap:
        return
    middle = (start[0] + dx / 2 - bend * dy, start[1] + dy / 2 + bend * dx)
    head, half = 6 + width, max(width, 1) / 2
    tip, neck = 1 - gap / length, max(0.0, 1 - (gap + head) / length)
    path = [_on_curve(start, middle, end, neck * k / 16) for k in range(17)]
    point = _on_curve(start, middle, end, tip)
    left = [_aside(a, b, half) for a, b in pairwise([*path, point])]
    right = [_aside(a, b, -half) for a, b in pairwise([*path, point])]
    wings = (_aside(path[-1], point, side * (half + 3.5)) for side in (1, -1))
    surface.polygon([*left, next(wings), point, next(wings), *right[::-1]], colour)


def _aside(a: Point, b: Point, distance: float) -> Point:
    """The point beside `a` on the way to `b`."""
    dx, dy = b[0] - a[0], b[1] - a[1]
    norm = max(math.hypot(dx, dy), 1e-9)
    return a[0] - dy / norm * distance, a[1] + dx / norm * distance


def _on_curve(start: Point, middle: Point, end: Point, t: float) -> Point:
    """A point of the quadratic curve that starts towards `middle`; t runs from 0 to 1."""
    a, b, c = (1 - t) ** 2, 2 * t * (1 - t), t**2
    x, y = (a * start[k] + b * middle[k] + c * end[k] for k in range(2))
    return x, y


def _draw_bubble(surface: DrawingSurface, agent: AgentShape, at: Point, box: Box) -> None:
    """A symbol in a bubble, with a tail that points to its agent."""
    centre = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    root = [_aside(centre, at, side) for side in (5, -5)]
    surface.polygon([at, *root], agent.colour)
    surface.panel(box, WHITE, agent.colour, corner=7, width=2)
    assert agent.says is not None
    surface.text(centre, letter(agent.says), SYMBOL_SIZE, DARK, bold=True)


def letter(symbol: int) -> str:
    """A symbol as it is shown: A for 0, B for 1 and so on."""
    return chr(ord("A") + symbol)


def _beside(at: Point, away: float, half_width: float, half_height: float) -> list[Box]:
    """Boxes beside an agent: upper right, upper left, lower right, lower left."""
    corners = ((1, -0.6), (-1, -0.6), (1, 0.6), (-1, 0.6))
    return [
        around((at[0] + x * away, at[1] + y * away), half_width, half_height) for x, y in corners
    ]


def _around(at: Point, radius: float, half_width: float, half_height: float) -> list[Box]:
    """Boxes below, above, right and left of an agent."""
    up, aside = radius + 4 + half_height, radius + 6 + half_width
    offsets = ((0, up), (0, -up), (aside, 0), (-aside, 0), (0, up + 14), (0, -up - 14))
    return [around((at[0] + x, at[1] + y), half_width, half_height) for x, y in offsets]


def free_box(candidates: list[Box], taken: list[Box], whole: Box) -> Box:
    """The first candidate inside of `whole` that covers nothing, or the one that covers least."""

    def covered(box: Box) -> float:
        inside = _overlap(box, whole)
        outside = (box[2] - box[0]) * (box[3] - box[1]) - inside
        return 4 * outside + sum(_overlap(box, other) for other in taken)

    return min(candidates, key=covered)


def _overlap(a: Box, b: Box) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    return max(width, 0) * max(height, 0)
