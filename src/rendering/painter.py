"""Paints one frame of a film: header, world, agents, attention, legend."""

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image
from torch import Tensor

from envs.scene import Point, Scene, Thing
from rendering.canvas import Box, Canvas, Ink, around, text_width
from rendering.figures import ATTENTION, DARK, paint_arrow, paint_attention, paint_figures
from rendering.stage import ARENA, CAPTION, HEADER, LEGEND, MARGIN, SMALLEST, WIDTH, Stage

TRAIL = 6  # steps of an agent's way that stay visible
GREY: Ink = (120, 124, 130)
PALE: Ink = (224, 227, 231)
GROUND: Ink = (248, 249, 250)
OPACITY = {"forest": 90, "obstacle": 200}  # of 255; other things are opaque
SMALL = 60  # pixels; names and words keep off things that are not wider
LEGEND_SIZE = 11
LEGEND_GAP = 16  # pixels between two entries


@dataclass(frozen=True)
class Frame:
    """What one picture shows."""

    scene: Scene
    header: str
    before: Sequence[Scene] = ()  # the scenes just before, for the trails
    attention: Tensor | None = None  # [N, N] between `learners`, from row to column


class Painter:
    """Paints the frames of a film, all in the same size.

    Args:
        title: in the corner of every frame.
        example: any one of the scenes.
        learners: names of the N agents between which attention is drawn.
    """

    def __init__(self, title: str, example: Scene, learners: Sequence[str] = ()):
        self.title, self.learners = title, learners
        self.stage = Stage(example)

    def paint(self, frame: Frame, view: float) -> Image.Image:
        """One picture.

        Args:
            frame: what it shows.
            view: metres from the middle of the world to its edge (`stage.reach`).
        """
        canvas, scene = Canvas(*self.stage.size), frame.scene
        canvas.text((MARGIN, HEADER / 2), frame.header, 15, DARK, "lm", bold=True)
        canvas.text((WIDTH - MARGIN, HEADER / 2), self.title, 11, GREY, "rm")
        if self.stage.has_caption:
            canvas.text((MARGIN, HEADER + CAPTION * 0.3), scene.caption, 13, DARK, "lm")
        if scene.picture is not None:
            canvas.paste(Image.fromarray(scene.picture), self.stage.world)
            return canvas.finished()
        self._paint_ground(canvas, view)
        things = [self._paint_thing(canvas, thing, view) for thing in scene.things]
        self._paint_trails(canvas, [*frame.before[-TRAIL:], scene], view)
        places = self.stage.places(scene, view)
        radii = [self.stage.radius(figure, view) for figure in scene.figures]
        if frame.attention is not None:
            names = [figure.name for figure in scene.figures]
            at = [names.index(name) for name in self.learners]
            paint_attention(
                canvas, frame.attention, [places[i] for i in at], [radii[i] for i in at]
            )
        placed = list(zip(scene.figures, places, radii, strict=True))
        whole = (0, self.stage.band[1], WIDTH, self.stage.world[3])
        small = [box for box in things if box[2] - box[0] < SMALL]
        paint_figures(canvas, placed, whole, small)
        self._paint_legend(canvas, scene, frame.attention is not None)
        return canvas.finished()

    def _paint_ground(self, canvas: Canvas, view: float) -> None:
        """The world's floor, with the border of the arena in which everything begins."""
        canvas.panel(self.stage.world, GROUND, PALE)
        if not self.stage.everyone_stands:
            side = ARENA * self.stage.scale(view)
            canvas.panel(around(self.stage.project((0, 0), view), side, side), None, PALE)

    def _paint_thing(self, canvas: Canvas, thing: Thing, view: float) -> Box:
        """Paint it and return the box around it."""
        at, radius = self.stage.project(thing.at, view), thing.radius * self.stage.scale(view)
        radius = max(radius, SMALLEST)
        _paint_kind(canvas, thing.kind, at, radius, thing.colour)
        return around(at, radius, radius)

    def _paint_trails(self, canvas: Canvas, scenes: Sequence[Scene], view: float) -> None:
        """Where the agents have just been, fainter the longer ago."""
        for age, (old, new) in enumerate(zip(scenes[-2::-1], scenes[::-1], strict=False)):
            for before, after in zip(old.figures, new.figures, strict=True):
                if before.at is not None and after.at is not None:
                    ends = [self.stage.project(at, view) for at in (before.at, after.at)]
                    ink = (*before.colour, round(150 * (1 - age / TRAIL)))
                    canvas.line(ends, ink, 3)

    def _paint_legend(self, canvas: Canvas, scene: Scene, with_attention: bool) -> None:
        """Teams and kinds of things with their colours, and what an arrow means."""
        entries: dict[str, tuple[str, set[Ink]]] = {}  # words: kind, all colours
        for figure in scene.figures:
            if figure.group:
                entries.setdefault(figure.group, ("agent", set()))[1].add(figure.colour)
        for thing in scene.things:
            entries.setdefault(thing.kind, (thing.kind, set()))[1].add(thing.colour)
        x, y = MARGIN + 8.0, self.stage.size[1] - LEGEND / 2
        for words, (kind, colours) in entries.items():
            colour = colours.pop() if len(colours) == 1 else GREY
            _paint_kind(canvas, kind, (x, y), 6, colour)
            canvas.text((x + 11, y), words, LEGEND_SIZE, DARK, "lm")
            x += 11 + text_width(words, LEGEND_SIZE) + LEGEND_GAP
        if with_attention:
            paint_arrow(canvas, (x - 6, y), (x + 18, y), 0, (*ATTENTION, 170), 3, bend=0)
            canvas.text((x + 23, y), "attends to", LEGEND_SIZE, DARK, "lm")


def _paint_kind(canvas: Canvas, kind: str, at: Point, radius: float, colour: Ink) -> None:
    """A thing of some kind, in the world or in the legend."""
    if kind == "goal":
        canvas.disc(at, radius, None, colour, 2.5)
    elif kind == "landmark":
        canvas.square(at, radius, colour)
    else:
        canvas.disc(at, radius, (*colour, OPACITY.get(kind, 255)), colour)
