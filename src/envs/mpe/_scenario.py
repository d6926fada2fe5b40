"""What a particle task is: its agents, its landmarks, who sees what, and what is paid.

A scenario is one file in `scenarios/`, found by its name. It declares its entities as constants and
writes observations as a list of things seen (`_sight.py`), compiled once. Only rewards and hidden
signals are tensor programs. Inside a world the axes are `[2, E, B]`: coordinate, entity, world.
Worlds come last, unlike everywhere else in this code, because each operation then runs along
contiguous memory. `E` counts agents first, then landmarks, then markers.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from components.spaces import Discrete, Factor, Factored
from utils.registry import Registry

if TYPE_CHECKING:
    from envs.mpe._opponents import Opponent
    from envs.mpe._sight import Rows, Sight
    from envs.mpe._world import World

SCENARIOS = Registry("scenario", "envs/mpe/scenarios")
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
        words = [f"say {symbol}" for symbol in range(self.n_symbols)]
        return tuple(f"{w}, {m}" if m != moves[0] else w for w in words for m in moves)


@dataclass(frozen=True)
class Landmark:
    """Something that stays where it is."""

    radius: float = 0.05
    collides: bool = False
    spread: float = 1.0  # drawn uniformly from [-spread, spread]^2
    kind: str = "landmark"  # in films: landmark, obstacle, food or forest
    colour: tuple[float, float, float] | None = None  # red, green, blue, 0 to 1; None: its kind's


class Scenario(ABC):
    """Base of all scenarios.

    A subclass sets attributes and writes `observation` and `rewards`; where there is something to
    draw, to sense, to count or to measure, the other methods too.

    Attributes:
        agents: N of them, in the order of mpe2.
        landmarks: the rest of the world.
        n_markers: points without a body that `draw` puts on top of a landmark, such as a goal: then
            its distances and directions are measured like any other's.
        signals: name: width, rows of hidden or derived features that `draw` or `sense` fills.
        pairs: name: [(entity, entity), ...], distances that rewards need.
        events: name: meaning, what `rewards` counts over an episode.
        results: name: meaning, what `final` measures when an episode ends.
        learners: the team that learns when the other one is fixed; empty if there is one team.
        scripted: from a world to the other team's play by rule, if there is a rule
            (`_opponents.py`).
        has_local_ratio: rewards mix what an agent does with what the team does.
        local_ratio: weight of an agent's own part in that mixture.
    """

    agents: tuple[Agent, ...]
    landmarks: tuple[Landmark, ...]
    n_markers: int = 0
    signals: ClassVar[dict[str, int]] = {}
    pairs: ClassVar[dict[str, list[tuple[int, int]]]] = {}
    events: ClassVar[dict[str, str]] = {}
    results: ClassVar[dict[str, str]] = {}
    learners: str = ""
    scripted: "Callable[[World], Opponent] | None" = None
    has_local_ratio: bool = False

    def __init__(self, local_ratio: float = 0.5):
        self.local_ratio = local_ratio

    @abstractmethod
    def observation(self, i: int, see: "Sight") -> "list[Rows]":
        """What agent `i` sees, in order; called once, when the environment is built."""

    def draw(self, world: "World", generator: torch.Generator) -> None:  # noqa: B027
        """Begin an episode: positions are drawn, now choose goals and fill `signals`."""

    def sense(self, world: "World") -> None:  # noqa: B027
        """After every reset and step: fill those `signals` that depend on positions."""

    @abstractmethod
    def rewards(self, world: "World") -> tuple[Tensor, Tensor | None]:
        """Of the step just taken: every agent's reward [N, B], counted events [n_events, B]."""

    def counted(self, events: Tensor, n_steps: int) -> Tensor:
        """The events of a whole episode as they are reported; both [n_events, B]."""
        return events

    def final(self, world: "World") -> dict[str, Tensor]:
        """When an episode ends: every one of `results`, [B]."""
        return {}

    def caption(self, world: "World", copy: int) -> str:
        """What a film of world number `copy` should tell because it cannot be seen."""
        return ""

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
        """The agents of a team, who stand next to each other."""
        members = [i for i, agent in enumerate(self.agents) if agent.team == name]
        return slice(members[0], members[-1] + 1)

    @property
    def teams(self) -> list[str]:
        """Names of the teams, in order of first appearance."""
        return list(dict.fromkeys(agent.team for agent in self.agents))


def out_of_bounds(position: Tensor) -> Tensor:
    """Penalty for leaving the arena, summed over both coordinates.

    For each x = |coordinate|: 0 below 0.9, then 10 (x - 0.9) until 1, from there on
    min(exp(2x - 2), 10).

    Shapes:
        position: [2, ..., B];  penalty: [..., B]
    """
    x = position.abs()
    inside = (x - 0.9).mul_(10).clamp_(min=0)
    outside = (x * 2 - 2).exp_().clamp_(max=10)
    penalty = torch.where(x < 1, inside, outside)
    return penalty[0] + penalty[1]
