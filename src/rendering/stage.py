"""Where everything goes in the pictures of a film: header, band, world and legend from the top.

Agents without a place stand in the band above the world, or, where no agent has a place, on a
circle instead of the world.
"""

import math
from collections.abc import Sequence

from envs.scene import Figure, Point, Scene, Thing
from rendering.canvas import Box

WIDTH = 520  # pixels
MARGIN = 10
HEADER, CAPTION, BAND, LEGEND = 32, 22, 80, 30  # heights
CIRCLE_HEIGHT = 300  # of the world where no agent has a place
STANDING = 17  # radius of an agent without a place
SMALLEST = 5  # radius of anything else
ARENA = 1.0  # metres from the middle to the border that is drawn


class Stage:
    """See the module's text.

    Args:
        scene: any one of the film; all have the same figures and kinds of things.

    Attributes:
        size: of the whole picture, both numbers even, as video wants them.
        world: the part for shapes or for the environment's own picture.
        band: the part for agents without a place; without height where there is none.
        has_caption: whether there is a second line below the header.
    """

    def __init__(self, scene: Scene):
        placed = [figure.at is not None for figure in scene.figures]
        self.everyone_stands = bool(placed) and not any(placed)
        self.has_caption = bool(scene.caption)
        top = HEADER + CAPTION * self.has_caption
        world_top = top + (0 if all(placed) or self.everyone_stands else BAND)
        height = CIRCLE_HEIGHT if self.everyone_stands else WIDTH - 2 * MARGIN
        if scene.picture is not None:
            height = round(scene.picture.shape[0] * (WIDTH - 2 * MARGIN) / scene.picture.shape[1])
        bottom = world_top + height
        self.band: Box = (MARGIN, top, WIDTH - MARGIN, world_top)
        self.world: Box = (MARGIN, world_top, WIDTH - MARGIN, bottom)
        self.size = (WIDTH, bottom + LEGEND + bottom % 2)

    def scale(self, view: float) -> float:
        """Pixels of a metre. view: metres from the middle of the world to its edge."""
        return (self.world[2] - self.world[0]) / (2 * view)

    def project(self, at: Point, view: float) -> Point:
        """From the world to the picture."""
        left, top, right, bottom = self.world
        scale = self.scale(view)
        return (left + right) / 2 + at[0] * scale, (top + bottom) / 2 - at[1] * scale

    def radius(self, figure: Figure, view: float) -> float:
        """Of an agent in the picture."""
        if figure.at is None:
            return STANDING
        return max(SMALLEST, figure.radius * self.scale(view))

    def places(self, scene: Scene, view: float) -> list[Point]:
        """Where each figure is in the picture."""
        standing = [figure for figure in scene.figures if figure.at is None]
        return [
            self._standing_place(standing.index(figure), len(standing))
            if figure.at is None
            else self.project(figure.at, view)
            for figure in scene.figures
        ]

    def _standing_place(self, k: int, n: int) -> Point:
        """The place of the k-th of n figures without one."""
        left, top, right, bottom = self.world if self.everyone_stands else self.band
        if not self.everyone_stands:
            return left + (right - left) * (k + 1) / (n + 1), top + (bottom - top) * 0.45
        angle = math.pi * (0.5 - 2 * k / n)  # the first one lowest
        radius = (bottom - top) * 0.33
        x = (left + right) / 2 + 1.5 * radius * math.cos(angle)
        return x, (top + bottom) / 2 + radius * math.sin(angle)


def reach(scenes: Sequence[Scene]) -> float:
    """Metres from the middle that must be visible to see everything in all scenes."""
    found = ARENA
    for scene in scenes:
        shown: list[Figure | Thing] = [*scene.figures, *scene.things]
        for one in shown:
            if one.at is not None:
                found = max(found, max(map(abs, one.at)) + one.radius)
    return found * 1.04
