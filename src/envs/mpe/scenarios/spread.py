"""Spread: three agents must cover three landmarks without bumping into each other.

Source: `simple_spread_v3` of mpe2 (Lowe et al., arXiv 1706.02275). The agents cannot speak, yet
what the others would have said is part of the observation, always zero.

* observation (18): velocity 2, position 2, landmarks 6, others 4, zeros 4
* reward: -(1 - r) sum over landmarks of the nearest agent's distance - r c_i, with r = 0.5 and
  c_i = number of agents that agent i touches
"""

from typing import ClassVar

from torch import Tensor
from typing_extensions import override

from envs.mpe._entities import Agent, Landmark
from envs.mpe._observation_layout import ObservationLayout, Rows
from envs.mpe._scenario import SCENARIOS, Scenario
from envs.mpe._world import World

N = 3
COVERED = 0.1  # a landmark with an agent closer than this is covered


@SCENARIOS.register("spread")
class Spread(Scenario):
    """The spread scenario."""

    agents = tuple(Agent(f"agent_{i}", radius=0.15) for i in range(N))
    landmarks = (Landmark(),) * N
    pairs: ClassVar = {
        "touch": [(0, 1), (0, 2), (1, 2)],
        "cover": [(i, N + k) for k in range(N) for i in range(N)],
    }
    signals: ClassVar = {"silence": 4}
    events: ClassVar = {"collisions": "pairs of agents that touched, summed over steps"}
    results: ClassVar = {
        "final_distance": "distance of a landmark to the nearest agent at the end, mean",
        "final_covered": f"landmarks with an agent closer than {COVERED} at the end",
    }
    has_local_ratio = True

    @override
    def observation(self, i: int, layout: ObservationLayout) -> list[Rows]:
        landmarks = [layout.relative(self.landmark(k), i) for k in range(N)]
        others = [layout.relative(j, i) for j in self.others(i)]
        return [
            layout.velocity(i),
            layout.position(i),
            *landmarks,
            *others,
            layout.signal("silence"),
        ]

    @override
    def rewards(self, world: World) -> tuple[Tensor, Tensor]:
        touch = world.touches("touch").to(world.dtype)  # [3, B]: 0-1, 0-2, 1-2
        total = touch.sum(dim=0, keepdim=True)  # [1, B]
        bumps = total - touch.flip(0)  # [N, B]: agent 0 is not in the last pair, and so on
        team = self._nearest(world).sum(dim=0) * (1 - self.local_ratio)
        return bumps.mul_(-self.local_ratio).sub_(team), total

    @override
    def final(self, world: World) -> dict[str, Tensor]:
        nearest = self._nearest(world)
        covered = (nearest < COVERED).sum(dim=0).to(world.dtype)
        return {"final_distance": nearest.mean(dim=0), "final_covered": covered}

    def _nearest(self, world: World) -> Tensor:
        """Distance of each landmark to its nearest agent, [landmarks, B]."""
        return world.distance("cover").view(N, N, -1).amin(dim=1)
