"""The layout of a film's pictures: header, band, world and legend, from the top.

Agents without a position are drawn in the band above the world. Where no agent has a position, they
are drawn on a circle, and there is no world.
"""

import math
from collections.abc import Sequence

from envs.scene import AgentShape, Point, Scene, Shape
from rendering.drawing_surface import Box

WIDTH = 520  # pixels
MARGIN = 10
HEADER, CAPTION, BAND, LEGEND = 32, 22, 80, 30  # heights
CIRCLE_HEIGHT = 300  # of the circle's part, where no agent has a position
UNPLACED_RADIUS = 17  # of an agent without a position
SMALLEST = 5  # radius of anything else
ARENA = 1.0  # metres from the middle to the border that is drawn


class Layout:
    """Sizes and parts of a picture, and the projection from the world to pixels.

    Args:
        scene: any scene of the film; all have the same agents and kinds of shapes.

    Attributes:
        size: of the whole picture, both numbers even, as MP4 needs.
        world: the part for shapes or for the environment's own picture.
        band: the part for agents without a position; its height is 0 where there is none.
        has_caption: whether there is a second line below the header.
    """

    def __init__(self, scene: Scene):
        placed = [agent.at is not None for agent in scene.agents]
        self.has_no_positions = bool(placed) and not any(placed)
        self.has_caption = bool(scene.caption)
        top = HEADER + CAPTION * self.has_caption
        world_top = top + (0 if all(placed) or self.has_no_positions else BAND)
        height = CIRCLE_HEIGHT if self.has_no_positions else WIDTH - 2 * MARGIN
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
        """From a position in the world to pixels."""
        left, top, right, bottom = self.world
        scale = self.scale(view)
        return (left + right) / 2 + at[0] * scale, (top + bottom) / 2 - at[1] * scale

    def radius(self, agent: AgentShape, view: float) -> float:
        """Radius of an agent in the picture, in pixels."""
        if agent.at is None:
            return UNPLACED_RADIUS
        return max(SMALLEST, agent.radius * self.scale(view))

    def positions(self, scene: Scene, view: float) -> list[Point]:
        """Where each agent is in the picture, in pixels."""
        unplaced = [agent for agent in scene.agents if agent.at is None]
        return [
            self._unplaced_position(unplaced.index(agent), len(unplaced))
            if agent.at is None
            else self.project(agent.at, view)
            for agent in scene.agents
        ]

    def _unplaced_position(self, k: int, n: int) -> Point:
        """Where the k-th of n agents without a position is drawn."""
        left, top, right, bottom = self.world if self.has_no_positions else self.band
        if not self.has_no_positions:
            return left + (right - left) * (k + 1) / (n + 1), top + (bottom - top) * 0.45
        angle = math.pi * (0.5 - 2 * k / n)  # the first one lowest
        radius = (bottom - top) * 0.33
        x = (left + right) / 2 + 1.5 * radius * math.cos(angle)
        return x, (top + bottom) / 2 + radius * math.sin(angle)


def view_radius(scenes: Sequence[Scene]) -> float:
    """Metres from the middle that must be visible to see everything in all scenes."""
    found = ARENA
    for scene in scenes:
        drawn: list[AgentShape | Shape] = [*scene.agents, *scene.shapes]
        for one in drawn:
            if one.at is not None:
                found = max(found, max(map(abs, one.at)) + one.radius)
    return found * 1.04
