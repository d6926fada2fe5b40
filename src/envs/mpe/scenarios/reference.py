"""Reference: two agents must each reach a landmark that only the other one knows.

Source: `simple_reference_v3` of mpe2 (Lowe et al., arXiv 1706.02275). Three landmarks; each agent
knows the *other's* goal, moves, and says one of ten symbols at each step.

* observation (21): velocity 2, landmarks 6, colour of the other's goal 3, the other's symbol 10
* reward: (1 - r) mean_j l_j + r l_i, with l_i = -distance(other, the goal that i knows), r = 0.5
"""

from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from envs.mpe._entities import Agent, Landmark
from envs.mpe._observation_layout import ObservationLayout, Rows
from envs.mpe._scenario import SCENARIOS, Scenario
from envs.mpe._world import World

GOALS = (5, 6)  # markers: the goal that agent 0 knows, the goal that agent 1 knows
COLOURS = ((0.75, 0.25, 0.25), (0.25, 0.75, 0.25), (0.25, 0.25, 0.75))  # of the landmarks


@SCENARIOS.register("reference")
class Reference(Scenario):
    """The reference scenario."""

    agents = tuple(Agent(f"agent_{i}", collides=False, n_symbols=10) for i in range(2))
    landmarks = tuple(Landmark(colour=colour) for colour in COLOURS)
    n_markers = 2
    signals: ClassVar = {"colour": 6}  # of the goal that each agent knows
    pairs: ClassVar = {"goal": [(1, GOALS[0]), (0, GOALS[1])]}
    results: ClassVar = {"final_distance": "mean distance of an agent to its goal at the end"}
    has_local_ratio = True

    @override
    def observation(self, i: int, layout: ObservationLayout) -> list[Rows]:
        return [
            layout.velocity(i),
            *(layout.relative(self.landmark(k), i) for k in range(3)),
            layout.signal("colour", range(3 * i, 3 * i + 3)),
            layout.symbol(1 - i),
        ]

    def draw(self, world: World, generator: torch.Generator) -> None:
        """Each agent learns of a goal of the other's; both may be the same landmark."""
        size = (2, world.batch_size)
        known = torch.randint(3, size, generator=generator, device=world.device)  # [2, B]
        world.place_marker(0, known[0])
        world.place_marker(1, known[1])
        colours = world.constant(COLOURS)
        world.signal("colour").copy_(colours[known].transpose(1, 2).flatten(0, 1))

    @override
    def rewards(self, world: World) -> tuple[Tensor, None]:
        distance = world.distance("goal")  # [2, B]
        mixed = distance * -self.local_ratio
        mixed.sub_(distance.mean(dim=0), alpha=1 - self.local_ratio)
        return mixed, None

    @override
    def final(self, world: World) -> dict[str, Tensor]:
        return {"final_distance": world.distance("goal").mean(dim=0)}
