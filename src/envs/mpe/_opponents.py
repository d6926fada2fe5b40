"""Opponents that do not learn: rules for prey and for guards, and play at random.

Numbers against different opponents cannot be compared; `opponent` in a run's configuration names
the one that was played against.

In these worlds a move changes the velocity, and only the step after that the position. A rule
therefore looks two steps ahead: at the first place that its move can change, contacts left aside.
It sees all positions, hidden ones included.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from envs.mpe._scenario import ADVERSARIES, GOOD, out_of_bounds

if TYPE_CHECKING:
    from envs.mpe._world import World

FEAR_OF_BOUNDS = 10.0  # metres of distance that a unit of the penalty for leaving is worth
TIE = 1e-6  # scores closer than this are decided by chance


def flee(world: "World", generator: torch.Generator) -> Tensor:
    """Each prey makes the move that keeps it farthest from its nearest predator, and inside.

    Shapes:
        out: [prey, B]
    """
    scenario = world.scenario
    places = world.within_reach(scenario.team(GOOD))  # [2, moves, prey, B]
    predators = world.position[:, scenario.team(ADVERSARIES)]  # [2, predators, B]
    away = places.unsqueeze(3) - predators[:, None, None]  # [2, moves, prey, predators, B]
    nearest = torch.hypot(away[0], away[1]).amin(dim=2)  # [moves, prey, B]
    return _best(nearest - FEAR_OF_BOUNDS * out_of_bounds(places), generator)


def guard(world: "World", generator: torch.Generator) -> Tensor:
    """The adversary goes where the agents seem to go: to the landmark that has one of them nearest.

    Shapes:
        out: [adversaries, B]
    """
    scenario = world.scenario
    first = scenario.landmark(0)
    landmarks = world.position[:, first : first + len(scenario.landmarks)]  # [2, L, B]
    agents = world.position[:, scenario.team(GOOD)]  # [2, agents, B]
    between = agents.unsqueeze(1) - landmarks.unsqueeze(2)  # [2, L, agents, B]
    chosen = torch.hypot(between[0], between[1]).amin(dim=1).argmin(dim=0)  # [B]
    target = landmarks.gather(1, chosen.expand(2, 1, -1)).unsqueeze(2)  # [2, 1, 1, B]
    away = world.within_reach(scenario.team(ADVERSARIES)) - target  # [2, moves, adversaries, B]
    return _best(-torch.hypot(away[0], away[1]), generator)


def at_random(world: "World", generator: torch.Generator, team: slice) -> Tensor:
    """Every agent of the team draws uniformly from its own actions: [n, B]."""
    counts = world.n_actions[team]  # [n, 1]
    size = (len(counts), world.batch_size)
    luck = torch.rand(size, generator=generator, device=world.device)
    return (luck * counts).long()


def _best(score: Tensor, generator: torch.Generator) -> Tensor:
    """The move of the highest score [moves, n, B], ties broken at random: [n, B]."""
    luck = torch.rand(score.shape, generator=generator, device=score.device, dtype=score.dtype)
    return (score + TIE * luck).argmax(dim=0)
