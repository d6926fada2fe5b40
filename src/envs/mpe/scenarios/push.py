"""Push: an agent goes to its goal, an adversary that does not know the goal gets in its way.

Source: `simple_push_v3` of mpe2 (Lowe et al., arXiv 1706.02275). Two landmarks, one of them the
goal. There is nothing to push but each other.

* observation of the adversary (8): velocity 2, landmarks 4, agent 2
* observation of the agent (19): velocity 2, goal 2, its colour 3, landmarks 4, colours 6, other 2
* reward of the agent: -distance(agent, goal)
* reward of the adversary: distance(agent, goal) - distance(adversary, goal)

The agent's colour encodes the number of the goal.
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

GOAL = 4  # marker
COLOURS = ((0.1, 0.9, 0.1), (0.1, 0.1, 0.9))  # of the landmarks
OWN_COLOURS = ((0.25, 0.75, 0.25), (0.25, 0.25, 0.75))  # of the agent, by goal


@SCENARIOS.register("push")
class Push(Scenario):
    """The push scenario."""

    agents = (Agent("adversary_0", ADVERSARIES), Agent("agent_0", GOOD))
    landmarks = tuple(Landmark(colour=colour) for colour in COLOURS)
    n_markers = 1
    signals: ClassVar = {"own_colour": 3, "colours": 6}
    pairs: ClassVar = {"goal": [(0, GOAL), (1, GOAL)]}
    results: ClassVar = {
        "final_distance": "distance of the agent to its goal at the end",
        "final_distance_adversary": "distance of the adversary to that goal at the end",
    }
    learners = GOOD
    scripted = staticmethod(partial(RuleOpponent, guard))

    @override
    def observation(self, i: int, layout: ObservationLayout) -> list[Rows]:
        landmarks = [layout.relative(self.landmark(k), i) for k in range(2)]
        other = layout.relative(1 - i, i)
        if self.agents[i].team == ADVERSARIES:
            return [layout.velocity(i), *landmarks, other]
        colours = [layout.signal("own_colour"), *landmarks, layout.signal("colours")]
        return [layout.velocity(i), layout.relative(GOAL, i), *colours, other]

    def draw(self, world: World, generator: torch.Generator) -> None:
        """One of the landmarks is the goal."""
        size = (world.batch_size,)
        goal = torch.randint(2, size, generator=generator, device=world.device)  # [B]
        world.place_marker(0, goal)
        own = world.constant(OWN_COLOURS)
        world.signal("own_colour").copy_(own[goal].t())
        colours = world.constant(COLOURS)
        world.signal("colours").copy_(colours.flatten().unsqueeze(1))

    @override
    def rewards(self, world: World) -> tuple[Tensor, None]:
        adversary, agent = world.distance("goal")  # [B] each
        return torch.stack((agent - adversary, -agent)), None

    @override
    def final(self, world: World) -> dict[str, Tensor]:
        adversary, agent = world.distance("goal")
        return {"final_distance": agent, "final_distance_adversary": adversary}
