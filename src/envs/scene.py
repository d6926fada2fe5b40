"""What a copy of a world looks like, for films: shapes in world coordinates, y upwards.

An environment that can be drawn has one method more than `BatchedEnv`: `scene(copy) -> Scene`. It
says what is there; `rendering/` decides where and how it is painted.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Point = tuple[float, float]
Colour = tuple[int, int, int]  # red, green, blue, 0 to 255


@dataclass(frozen=True)
class Figure:
    """An agent."""

    name: str
    group: str  # its team, for the legend; empty: not in the legend
    colour: Colour
    radius: float = 0.0
    at: Point | None = None  # None: it is in no particular place, and is drawn beside the world
    says: int | None = None  # the symbol it speaks; None: it is silent


@dataclass(frozen=True)
class Thing:
    """Anything else in the world."""

    kind: str  # landmark, obstacle, food, forest or goal
    at: Point
    radius: float
    colour: Colour


@dataclass(frozen=True)
class Scene:
    """One copy at one moment: shapes, or the environment's own picture."""

    figures: tuple[Figure, ...] = ()
    things: tuple[Thing, ...] = ()  # in the order of painting, below the figures
    caption: str = ""  # what cannot be seen in the world, such as a secret message
    picture: NDArray[np.uint8] | None = None  # [height, width, 3], in place of shapes


class Drawable(Protocol):
    """An environment that can be drawn."""

    def scene(self, copy: int) -> Scene:
        """What copy number `copy` looks like now."""
        ...
