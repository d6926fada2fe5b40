"""World-comm: four predators, one of which leads by symbols, hunt two prey among food and forests.

Source: `simple_world_comm_v3` of mpe2 (Lowe et al., arXiv 1706.02275). One obstacle, two pieces of
food, two forests. Another agent is visible if both stand in a common forest, or neither stands in
any, or the observer is the leader; otherwise its position and velocity read 0. The leader says one
of four symbols at each step.

* observation of a predator (34): velocity 2, position 2, obstacle, food and forests 10, others 10,
  prey's velocities 4, in forest? 2 (1 or -1 each), the leader's symbol 4
* observation of a prey (28): velocity 2, position 2, obstacle, food and forests 10, others 10,
  in forest? 2, the other prey's velocity 2
* reward of a predator: 5 C - 0.1 distance to its nearest prey, C = touching (predator, prey) pairs
* reward of a prey: -5 c + 2 f - 0.05 distance to the nearest food - 2 penalty for leaving the
  arena, with c and f = predators and pieces of food that it touches
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

LEADER, PREDATORS, PREY = 0, (0, 1, 2, 3), (4, 5)
FOOD, FORESTS = (7, 8), (9, 10)  # entities; 6 is the obstacle
N, N_PREY, N_PREDATORS = 6, 2, 4


@SCENARIOS.register("world_comm")
class WorldComm(Scenario):
    """The world-comm scenario."""

    agents = (
        Agent("leadadversary_0", ADVERSARIES, 0.075, 3.0, 1.0, n_symbols=4),
        *(Agent(f"adversary_{i}", ADVERSARIES, 0.075, 3.0, 1.0) for i in range(3)),
        *(Agent(f"agent_{i}", GOOD, 0.045, 4.0, 1.3) for i in range(N_PREY)),
    )
    landmarks = (
        Landmark(radius=0.2, collides=True, spread=0.9, kind="obstacle"),
        *(Landmark(radius=0.03, spread=0.9, kind="food") for _ in FOOD),
        *(Landmark(radius=0.3, spread=0.9, kind="forest") for _ in FORESTS),
    )
    signals: ClassVar = {
        "seen_position": 2 * N * N,  # [coordinate, observer, other]
        "seen_velocity": 2 * N * N_PREY,  # [coordinate, observer, prey]
        "in_forest": N * len(FORESTS),  # [agent, forest]
    }
    pairs: ClassVar = {
        "catch": [(i, j) for i in PREDATORS for j in PREY],
        "food": [(j, k) for j in PREY for k in FOOD],
        "forest": [(i, k) for i in range(N) for k in FORESTS],
    }
    events: ClassVar = {
        "collisions": "contacts of a predator with a prey, summed over steps",
        "food_touched": "contacts of a prey with food, summed over steps",
    }
    learners = ADVERSARIES
    scripted = staticmethod(partial(RuleOpponent, flee))

    @override
    def observation(self, i: int, layout: ObservationLayout) -> list[Rows]:
        others, prey = self.others(i), [k for k, j in enumerate(PREY) if j != i]
        own = [layout.velocity(i), layout.position(i)]
        landmarks = [layout.relative(self.landmark(k), i) for k in range(5)]
        at = [c * N * N + i * N + j for j in others for c in range(2)]
        positions = layout.signal("seen_position", at)
        at = [c * N * N_PREY + i * N_PREY + k for k in prey for c in range(2)]
        velocities = layout.signal("seen_velocity", at)
        in_forest = layout.signal("in_forest", (2 * i, 2 * i + 1))
        if i in PREY:
            return [*own, *landmarks, positions, in_forest, velocities]
        return [*own, *landmarks, positions, velocities, in_forest, layout.symbol(LEADER)]

    def sense(self, world: World) -> None:
        """Which agents observe which."""
        inside = world.touches("forest")  # [N * forests, B]
        world.signal("in_forest").copy_(inside).mul_(2).sub_(1)
        inside = inside.view(N, 2, -1)
        anywhere = inside.any(dim=1)  # [N, B]
        together = (inside.unsqueeze(1) & inside.unsqueeze(0)).any(dim=2)  # [N, N, B]
        sees = together | ~(anywhere.unsqueeze(1) | anywhere.unsqueeze(0))
        sees[LEADER] = True
        sees = sees.to(world.dtype)
        position = world.position[:, :N]
        relative = position.unsqueeze(1) - position.unsqueeze(2)  # [2, N, N, B]
        torch.mul(relative, sees, out=world.signal("seen_position").view(2, N, N, -1))
        velocity = world.velocity[:, N_PREDATORS:].unsqueeze(1)  # [2, 1, prey, B]
        seen = world.signal("seen_velocity").view(2, N, N_PREY, -1)
        torch.mul(velocity, sees[:, N_PREDATORS:], out=seen)

    @override
    def rewards(self, world: World) -> tuple[Tensor, Tensor]:
        distance = world.distance("catch").view(N_PREDATORS, N_PREY, -1)
        touch = world.touches("catch").view_as(distance).sum(dim=0, dtype=world.dtype)  # [prey, B]
        caught = touch.sum(dim=0)  # [B]
        hunt = caught * 5 - distance.amin(dim=1) * 0.1  # [predators, B]
        food = world.distance("food").view(N_PREY, 2, -1)
        eats = world.touches("food").view_as(food).sum(dim=1, dtype=world.dtype)  # [prey, B]
        flee = touch.mul(-5).add_(eats, alpha=2).sub_(food.amin(dim=1), alpha=0.05)
        flee.sub_(out_of_bounds(world.position[:, N_PREDATORS:N]), alpha=2)
        return torch.cat((hunt, flee)), torch.stack((caught, eats.sum(dim=0)))
