"""Draws one frame of a film: header, world, agents, attention, legend."""

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image
from torch import Tensor

from envs.scene import Point, Scene, Shape
from rendering.draw_agents import ATTENTION, DARK, draw_agents, draw_arrow, draw_attention
from rendering.drawing_surface import RGBA, Box, DrawingSurface, around, text_width
from rendering.layout import ARENA, CAPTION, HEADER, LEGEND, MARGIN, SMALLEST, WIDTH, Layout

TRAIL = 6  # steps of an agent's way that stay visible
GREY: RGBA = (120, 124, 130)
PALE: RGBA = (224, 227, 231)
GROUND: RGBA = (248, 249, 250)
OPACITY = {"forest": 90, "obstacle": 200}  # of 255; other shapes are opaque
SMALL = 60  # pixels; names and bubbles do not cover shapes that are not wider
LEGEND_SIZE = 11
LEGEND_GAP = 16  # pixels between two entries


@dataclass(frozen=True)
class Frame:
    """What one picture shows."""

    scene: Scene
    header: str
    before: Sequence[Scene] = ()  # the scenes just before, for the trails
    attention: Tensor | None = None  # [N, N] between `learners`, from row to column


class FrameDrawer:
    """Draws the frames of a film, all in the same size.

    Args:
        title: in the corner of every frame.
        example: any one of the scenes.
        learners: names of the N agents between which attention is drawn.
    """

    def __init__(self, title: str, example: Scene, learners: Sequence[str] = ()):
        self.title, self.learners = title, learners
        self.layout = Layout(example)

    def draw(self, frame: Frame, view: float) -> Image.Image:
        """One picture.

        Args:
            frame: what it shows.
            view: metres from the middle of the world to its edge (`layout.view_radius`).
        """
        surface, scene = DrawingSurface(*self.layout.size), frame.scene
        surface.text((MARGIN, HEADER / 2), frame.header, 15, DARK, "lm", bold=True)
        surface.text((WIDTH - MARGIN, HEADER / 2), self.title, 11, GREY, "rm")
        if self.layout.has_caption:
            surface.text((MARGIN, HEADER + CAPTION * 0.3), scene.caption, 13, DARK, "lm")
        if scene.picture is not None:
            surface.paste(Image.fromarray(scene.picture), self.layout.world)
            return surface.finished()
        self._draw_ground(surface, view)
        boxes = [self._draw_shape(surface, shape, view) for shape in scene.shapes]
        self._draw_trails(surface, [*frame.before[-TRAIL:], scene], view)
        places = self.layout.positions(scene, view)
        radii = [self.layout.radius(agent, view) for agent in scene.agents]
        if frame.attention is not None:
            names = [agent.name for agent in scene.agents]
            at = [names.index(name) for name in self.learners]
            draw_attention(
                surface, frame.attention, [places[i] for i in at], [radii[i] for i in at]
            )
        placed = list(zip(scene.agents, places, radii, strict=True))
        whole = (0, self.layout.band[1], WIDTH, self.layout.world[3])
        small = [box for box in boxes if box[2] - box[0] < SMALL]
        draw_agents(surface, placed, whole, small)
        self._draw_legend(surface, scene, frame.attention is not None)
        return surface.finished()

    def _draw_ground(self, surface: DrawingSurface, view: float) -> None:
        """The world's floor, with the border of the arena in which everything begins."""
        surface.panel(self.layout.world, GROUND, PALE)
        if not self.layout.has_no_positions:
            side = ARENA * self.layout.scale(view)
            surface.panel(around(self.layout.project((0, 0), view), side, side), None, PALE)

    def _draw_shape(self, surface: DrawingSurface, shape: Shape, view: float) -> Box:
        """Draw it and return the box around it."""
        at, radius = self.layout.project(shape.at, view), shape.radius * self.layout.scale(view)
        radius = max(radius, SMALLEST)
        _draw_kind(surface, shape.kind, at, radius, shape.colour)
        return around(at, radius, radius)

    def _draw_trails(self, surface: DrawingSurface, scenes: Sequence[Scene], view: float) -> None:
        """Where the agents have just been, fainter the longer ago."""
        for age, (old, new) in enumerate(zip(scenes[-2::-1], scenes[::-1], strict=False)):
            for before, after in zip(old.agents, new.agents, strict=True):
                if before.at is not None and after.at is not None:
                    ends = [self.layout.project(at, view) for at in (before.at, after.at)]
                    colour = (*before.colour, round(150 * (1 - age / TRAIL)))
                    surface.line(ends, colour, 3)

    def _draw_legend(self, surface: DrawingSurface, scene: Scene, with_attention: bool) -> None:
        """Teams and kinds of shapes with their colours, and what an arrow means."""
        entries: dict[str, tuple[str, set[RGBA]]] = {}  # label: kind, all colours
        for agent in scene.agents:
            if agent.group:
                entries.setdefault(agent.group, ("agent", set()))[1].add(agent.colour)
        for shape in scene.shapes:
            entries.setdefault(shape.kind, (shape.kind, set()))[1].add(shape.colour)
        x, y = MARGIN + 8.0, self.layout.size[1] - LEGEND / 2
        for label, (kind, colours) in entries.items():
            colour = colours.pop() if len(colours) == 1 else GREY
            _draw_kind(surface, kind, (x, y), 6, colour)
            surface.text((x + 11, y), label, LEGEND_SIZE, DARK, "lm")
            x += 11 + text_width(label, LEGEND_SIZE) + LEGEND_GAP
        if with_attention:
            draw_arrow(surface, (x - 6, y), (x + 18, y), 0, (*ATTENTION, 170), 3, bend=0)
            surface.text((x + 23, y), "attends to", LEGEND_SIZE, DARK, "lm")


def _draw_kind(surface: DrawingSurface, kind: str, at: Point, radius: float, colour: RGBA) -> None:
    """A shape of some kind, in the world or in the legend."""
    if kind == "goal":
        surface.disc(at, radius, None, colour, 2.5)
    elif kind == "landmark":
        surface.square(at, radius, colour)
    else:
        surface.disc(at, radius, (*colour, OPACITY.get(kind, 255)), colour)
