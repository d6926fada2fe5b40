"""Scenes for films: the shapes in one environment of a batch, in world coordinates, y upwards.

An environment that can be drawn has one method more than `BatchedEnv`: `scene(b) -> Scene`. It says
which shapes there are; `rendering/` decides where and how they are drawn.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Point = tuple[float, float]
Colour = tuple[int, int, int]  # red, green, blue, 0 to 255


@dataclass(frozen=True)
class AgentShape:
    """An agent."""

    name: str
    group: str  # its team, for the legend; empty: not in the legend
    colour: Colour
    radius: float = 0.0
    at: Point | None = None  # None: it has no position, and is drawn beside the world
    says: int | None = None  # the symbol it sends; None: it is silent


@dataclass(frozen=True)
class Shape:
    """Anything else in the world."""

    kind: str  # landmark, obstacle, food, forest or goal
    at: Point
    radius: float
    colour: Colour


@dataclass(frozen=True)
class Scene:
    """One environment at one step: shapes, or a picture that the environment drew."""

    agents: tuple[AgentShape, ...] = ()
    shapes: tuple[Shape, ...] = ()  # in the order of drawing, below the agents
    caption: str = ""  # what cannot be seen in the world, such as a secret message
    picture: NDArray[np.uint8] | None = None  # [height, width, 3], instead of shapes


class Drawable(Protocol):
    """An environment that can be drawn."""

    def scene(self, b: int) -> Scene:
        """The scene of environment `b` of the batch, as it is now."""
        ...
