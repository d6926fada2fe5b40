"""Adversary: two agents go to the goal and keep secret from an adversary which landmark it is.

Source: `simple_adversary_v3` of mpe2 (Lowe et al., arXiv 1706.02275). Two landmarks, one the goal;
bodies pass through each other.

* observation of the adversary (8): landmarks 4, agents 4
* observation of an agent (10): goal 2, landmarks 4, others 4
* reward of the adversary: -distance(adversary, goal)
* reward of both agents: distance(adversary, goal) - distance of the closer agent to the goal
"""

from functools import partial
from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from envs.mpe._entities import ADVERSARIES, GOOD, Agent, Landmark
from envs.mpe._observation_layout import ObservationLayout, Rows
from envs.mpe._opponents import RuleOpponent, guard
from envs.mpe._scenario import SCENARIOS, Scenario
from envs.mpe._world import World

GOAL = 5  # marker


@SCENARIOS.register("adversary")
class Adversary(Scenario):
    """The adversary scenario."""

    agents = (
        Agent("adversary_0", ADVERSARIES, 0.15, collides=False),
        *(Agent(f"agent_{i}", GOOD, 0.15, collides=False) for i in range(2)),
    )
    landmarks = (Landmark(radius=0.08),) * 2
    n_markers = 1
    pairs: ClassVar = {"goal": [(0, GOAL), (1, GOAL), (2, GOAL)]}
    results: ClassVar = {
        "final_distance": "distance of the closer agent to the goal at the end",
        "final_distance_adversary": "distance of the adversary to the goal at the end",
    }
    learners = GOOD
    scripted = staticmethod(partial(RuleOpponent, guard))

    @override
    def observation(self, i: int, layout: ObservationLayout) -> list[Rows]:
        goal = [] if i == 0 else [layout.relative(GOAL, i)]
        landmarks = [layout.relative(self.landmark(k), i) for k in range(2)]
        return [*goal, *landmarks, *(layout.relative(j, i) for j in self.others(i))]

    def draw(self, world: World, generator: torch.Generator) -> None:
        """One of the landmarks is the goal."""
        size = (world.batch_size,)
        world.place_marker(0, torch.randint(2, size, generator=generator, device=world.device))

    @override
    def rewards(self, world: World) -> tuple[Tensor, None]:
        adversary, first, second = world.distance("goal")  # [B] each
        good = adversary - torch.minimum(first, second)
        return torch.stack((-adversary, good, good)), None

    @override
    def final(self, world: World) -> dict[str, Tensor]:
        adversary, first, second = world.distance("goal")
        closer = torch.minimum(first, second)
        return {"final_distance": closer, "final_distance_adversary": adversary}
