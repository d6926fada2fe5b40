"""What is in a particle world: agents, landmarks, markers, signals, and the pairs to measure.

Inside a world the axes are `[2, E, B]`: coordinate, entity, world. Worlds come last, unlike
everywhere else in this code, because each operation then runs along contiguous memory. `E` counts
agents first, then landmarks, then markers.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

from components.spaces import Discrete, Factor, Factored

MOVE_NAMES = ("stay", "left", "right", "down", "up")
N_MOVES = len(MOVE_NAMES)
MOVES = ((0.0, 0.0), (-1.0, 0.0), (1.0, 0.0), (0.0, -1.0), (0.0, 1.0))
GOOD, ADVERSARIES, EVERYONE = "good", "adversaries", "everyone"  # teams


@dataclass(frozen=True)
class Agent:
    """A particle that acts: it moves, speaks, or does both at once."""

    name: str
    team: str = EVERYONE
    radius: float = 0.05
    accel: float = 5.0  # force of a move, 0: it cannot move and has no moves among its actions
    max_speed: float = math.inf
    collides: bool = True
    n_symbols: int = 0  # 0: it cannot speak

    @property
    def n_moves(self) -> int:
        """Choices of movement; 1 for an agent that stays where it is."""
        return N_MOVES if self.accel else 1

    @property
    def n_actions(self) -> int:
        """Action a is move a mod n_moves together with symbol a div n_moves."""
        return self.n_moves * max(1, self.n_symbols)

    @property
    def action_space(self) -> Discrete | Factored:
        """A symbol, a move, or both."""
        if not (self.accel and self.n_symbols):
            return Discrete(self.n_actions, "symbol" if self.n_symbols else "move")
        said = tuple(f"say {symbol}" for symbol in range(self.n_symbols))
        return Factored(
            (Factor("symbol", self.n_symbols, said), Factor("move", N_MOVES, MOVE_NAMES))
        )

    @property
    def action_names(self) -> tuple[str, ...]:
        """What each action does: `left`, `say 0`, or `say 0, left`; equal names, equal actions."""
        moves = MOVE_NAMES[: self.n_moves]
        if not self.n_symbols:
            return moves
        symbols = [f"say {symbol}" for symbol in range(self.n_symbols)]
        return tuple(f"{s}, {m}" if m != moves[0] else s for s in symbols for m in moves)


@dataclass(frozen=True)
class Landmark:
    """Something that stays where it is."""

    radius: float = 0.05
    collides: bool = False
    spread: float = 1.0  # drawn uniformly from [-spread, spread]^2
    kind: str = "landmark"  # in films: landmark, obstacle, food or forest
    colour: tuple[float, float, float] | None = None  # red, green, blue, 0 to 1; None: its kind's


class Entities:
    """Everything in the worlds of one scenario, as constants.

    Attributes:
        agents: N of them, in the order of mpe2.
        landmarks: bodies that stay where they are.
        n_markers: points without a body that lie on top of a landmark, such as a goal: then its
            distances and directions are measured like any other's.
        signals: name: width, rows of hidden or derived features.
        pairs: name: [(entity, entity), ...], distances that rewards need.
    """

    agents: tuple[Agent, ...]
    landmarks: tuple[Landmark, ...]
    n_markers: int = 0
    signals: ClassVar[dict[str, int]] = {}
    pairs: ClassVar[dict[str, list[tuple[int, int]]]] = {}

    @property
    def n_agents(self) -> int:
        """N, fixed opponents included."""
        return len(self.agents)

    def landmark(self, k: int) -> int:
        """Entity number of landmark `k`."""
        return self.n_agents + k

    def marker(self, k: int) -> int:
        """Entity number of marker `k`."""
        return self.n_agents + len(self.landmarks) + k

    def others(self, i: int) -> list[int]:
        """All agents but `i`, in order."""
        return [j for j in range(self.n_agents) if j != i]

    def team(self, name: str) -> slice:
        """The agents of a team, which are neighbours in the order."""
        members = [i for i, agent in enumerate(self.agents) if agent.team == name]
        return slice(members[0], members[-1] + 1)

    @property
    def teams(self) -> list[str]:
        """Names of the teams, in order of first appearance."""
        return list(dict.fromkeys(agent.team for agent in self.agents))
