"""Tag: three slow predators hunt a fast prey around two obstacles.

Source: `simple_tag_v3` of mpe2 (Lowe et al., arXiv 1706.02275).

* observation of a predator (16): velocity 2, position 2, obstacles 4, others 6, prey's velocity 2
* observation of the prey (14): velocity 2, position 2, obstacles 4, predators 6
* reward of every predator: 10 C, with C = number of predators touching the prey
* reward of the prey: -10 C - penalty for leaving the arena
"""

from functools import partial
from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from envs.mpe._entities import ADVERSARIES, GOOD, Agent, Landmark
from envs.mpe._observation_layout import ObservationLayout, Rows
from envs.mpe._opponents import RuleOpponent, flee
from envs.mpe._scenario import SCENARIOS, Scenario
from envs.mpe._world import World, out_of_bounds

PREDATORS, PREY = (0, 1, 2), 3


@SCENARIOS.register("tag")
class Tag(Scenario):
    """The tag scenario."""

    agents = (
        *(Agent(f"adversary_{i}", ADVERSARIES, 0.075, 3.0, 1.0) for i in PREDATORS),
        Agent("agent_0", GOOD, 0.05, 4.0, 1.3),
    )
    landmarks = (Landmark(radius=0.2, collides=True, spread=0.9, kind="obstacle"),) * 2
    pairs: ClassVar = {"catch": [(i, PREY) for i in PREDATORS]}
    events: ClassVar = {"collisions": "contacts of a predator with the prey, summed over steps"}
    learners = ADVERSARIES
    scripted = staticmethod(partial(RuleOpponent, flee))

    @override
    def observation(self, i: int, layout: ObservationLayout) -> list[Rows]:
        obstacles = [layout.relative(self.landmark(k), i) for k in range(2)]
        others = [layout.relative(j, i) for j in self.others(i)]
        prey = [] if i == PREY else [layout.velocity(PREY)]
        return [layout.velocity(i), layout.position(i), *obstacles, *others, *prey]

    @override
    def rewards(self, world: World) -> tuple[Tensor, Tensor]:
        caught = world.touches("catch").sum(dim=0, keepdim=True, dtype=world.dtype)
        gain = caught * 10  # [1, B]
        loss = -gain - out_of_bounds(world.position[:, PREY])
        return torch.cat((gain, gain, gain, loss)), caught
