"""What a particle task is: its agents, its landmarks, what each agent observes, and its rewards.

A scenario is one file in `scenarios/`, found by its name. It declares its entities as constants and
writes observations as a list of rows (`_observation_layout.py`), compiled once. Only rewards and
hidden signals are tensor programs.
"""

from collections.abc import Callable
from typing import ClassVar

from torch import Tensor

from envs.mpe._opponents import Opponent
from envs.mpe._world import World, WorldRules
from utils.registry import Registry

SCENARIOS = Registry("scenario", "envs/mpe/scenarios")


class Scenario(WorldRules):
    """Base of all scenarios.

    A subclass sets attributes, those of `Entities` included, and writes `observation` and
    `rewards`; where there is something to draw, to derive, to count or to measure, the other
    methods too.

    Attributes:
        events: name: meaning, what `rewards` counts over an episode.
        results: name: meaning, what `final` measures when an episode ends.
        learners: the team that learns when the other one is fixed; empty if there is one team.
        scripted: from a world to the scripted play of the other team, if there is a rule
            (`_opponents.py`).
        has_local_ratio: rewards mix what an agent does with what the team does.
        local_ratio: weight of the agent's part in that mixture.
    """

    events: ClassVar[dict[str, str]] = {}
    results: ClassVar[dict[str, str]] = {}
    learners: str = ""
    scripted: Callable[[World], Opponent] | None = None
    has_local_ratio: bool = False

    def __init__(self, local_ratio: float = 0.5):
        self.local_ratio = local_ratio

    def counted(self, events: Tensor, n_steps: int) -> Tensor:
        """The events of a whole episode as they are reported; both [n_events, B]."""
        return events

    def final(self, world: World) -> dict[str, Tensor]:
        """When an episode ends: every one of `results`, [B]."""
        return {}

    def caption(self, world: World, b: int) -> str:
        """What a film of world number `b` has to say in words because it cannot be drawn."""
        return ""
