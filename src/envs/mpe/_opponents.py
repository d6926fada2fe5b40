"""Opponents that follow rules: they flee, guard, decode, or act at random.

Results against different opponents cannot be compared; `opponent` and `opponent_path` in a run's
configuration name the one that was played against.

In these worlds a move changes the velocity, and only the step after that the position. A rule for
movement therefore predicts two steps: the first position that its move can change, without
contacts. It sees all positions, hidden ones included.

Rules choose among the same five moves and the same symbols, also where the learners' actions are
continuous; such a world gets them as the numbers that do the same (`from_discrete`).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from envs.mpe._entities import ADVERSARIES, GOOD
from envs.mpe._world import World, out_of_bounds

FEAR_OF_BOUNDS = 10.0  # metres of distance that a unit of the penalty for leaving is worth
TIE = 1e-6  # scores closer than this are decided by chance
MEMORY = 300  # episodes after which a count has decayed to 1/e


class Opponent(ABC):
    """Plays the team that does not learn, n agents in B worlds."""

    @abstractmethod
    def act(self, last_actions: Tensor | None, generator: torch.Generator) -> Tensor:
        """The team's actions for one step.

        Args:
            last_actions: [all agents, B], what all agents did in the step before; None in an
                episode's first step. Continuous: [all agents, A, B].
            generator: the environment's random stream.

        Returns:
            [n, B] int64; continuous: [n, A, B] float32
        """

    def state_dict(self) -> dict[str, Any]:
        """What is remembered from one episode to the next."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:  # noqa: B027
        """Restore what `state_dict` returned; the memory of another kind of opponent is ignored."""


class RuleOpponent(Opponent):
    """Plays by a function of the world, from (world, random stream) to the team's actions."""

    def __init__(self, rule: Callable[[World, torch.Generator], Tensor], world: World):
        self.rule, self.world = rule, world

    @override
    def act(self, last_actions: Tensor | None, generator: torch.Generator) -> Tensor:
        return self.rule(self.world, generator)


class FrequencyDecoder(Opponent):
    """Guesses a secret as often as it went with the speaker's symbol at this step of an episode.

    It decodes every code in which each secret has separate symbols, codes that change from step to
    step included. With a key that it does not see it can only guess, because the same symbol then
    goes with every secret. Guesses are drawn in proportion to the counts: a decoder that always
    said the most frequent secret could be led to be wrong (benchmarks/mpe_rules.py).

    The past is all episodes before, and the *other* worlds of the batch. It never sees the secret
    of the world in which it guesses. So it knows a code from the second step of a large batch on.
    Old counts decay with every symbol received, because codes change while they are learnt. With
    continuous actions a symbol of half the strength counts half; a code that differs in strengths
    alone cannot be decoded.

    Args:
        world: B worlds.
        speaker: the agent that sends the symbols.
        secret: the signal to guess, one-hot.
        n_secrets: how many values the secret has, the first ones of the signal.
    """

    def __init__(self, world: World, speaker: int, secret: str, n_secrets: int):
        self.world, self.speaker, self.secret, self.n_secrets = world, speaker, secret, n_secrets
        # How often each word and secret went together, for each of the T steps of an episode that
        # were reached yet: in the present episodes [T, symbols, secrets, B], and in those before.
        shape = (0, len(world.symbol(speaker)), n_secrets, world.batch_size)
        with torch.inference_mode(False):  # written to in either mode
            self._now = torch.zeros(shape, device=world.device, dtype=world.dtype)
            self._past = self._now.sum(dim=3)  # [T, symbols, secrets]
        self._t = 0

    @override
    def act(self, last_actions: Tensor | None, generator: torch.Generator) -> Tensor:
        if last_actions is None:
            self._begin(self._all())
        received = self.world.symbol(self.speaker)  # [symbols, B], zero in the first step
        true = self.world.signal(self.secret)[: self.n_secrets]  # [secrets, B]
        self._reach(self._t + 1)
        now = self._now[self._t].copy_(received.unsqueeze(1) * true)  # a CUDA graph finds it there
        others = now.sum(dim=2, keepdim=True) - now  # [symbols, secrets, B]
        votes = (self._past[self._t].unsqueeze(2) + others) * received.unsqueeze(1)
        said = _drawn(votes.sum(dim=0), generator).unsqueeze(0)  # [1, B]
        self._t += 1
        world = self.world
        return world.actions.from_discrete(said, world.scenario.team(ADVERSARIES))

    def _reach(self, n_steps: int) -> None:
        """Make room for the counts of at least `n_steps` steps of an episode."""
        missing = n_steps - len(self._now)
        if missing > 0:
            with torch.inference_mode(False):
                rows = self._now.new_zeros(missing, *self._now.shape[1:])
                self._now = torch.cat([self._now, rows])
                self._past = torch.cat([self._past, rows.sum(dim=3)])

    def _all(self) -> Tensor:
        """The past with the present episodes added to it: [T, symbols, secrets]."""
        kept = torch.exp(-self._now.sum(dim=(1, 2, 3)) / MEMORY)  # [T]
        return self._past * kept[:, None, None] + self._now.sum(dim=3)

    def _begin(self, past: Tensor) -> None:
        """New episodes after the given past."""
        self._past.copy_(past)
        self._now.zero_()
        self._t = 0

    @override
    def state_dict(self) -> dict[str, Any]:
        return {"past": self._all().cpu()}

    @override
    def load_state_dict(self, state: dict[str, Any]) -> None:
        if "past" not in state:
            return
        self._reach(len(state["past"]))
        past = torch.zeros_like(self._past)
        past[: len(state["past"])] = state["past"]
        self._begin(past)


def flee(world: World, generator: torch.Generator) -> Tensor:
    """Each prey makes the move that keeps it farthest from its nearest predator, and inside.

    Shapes:
        out: [prey, B]; continuous: [prey, A, B]
    """
    scenario = world.scenario
    prey = scenario.team(GOOD)
    places = world.within_reach(prey)  # [2, moves, prey, B]
    predators = world.position[:, scenario.team(ADVERSARIES)]  # [2, predators, B]
    away = places.unsqueeze(3) - predators[:, None, None]  # [2, moves, prey, predators, B]
    nearest = torch.hypot(away[0], away[1]).amin(dim=2)  # [moves, prey, B]
    moves = _best(nearest - FEAR_OF_BOUNDS * out_of_bounds(places), generator)
    return world.actions.from_discrete(moves, prey)


def guard(world: World, generator: torch.Generator) -> Tensor:
    """The adversary goes where the agents seem to go: to the landmark that has one of them nearest.

    Shapes:
        out: [adversaries, B]; continuous: [adversaries, A, B]
    """
    scenario = world.scenario
    team = scenario.team(ADVERSARIES)
    first = scenario.landmark(0)
    landmarks = world.position[:, first : first + len(scenario.landmarks)]  # [2, L, B]
    agents = world.position[:, scenario.team(GOOD)]  # [2, agents, B]
    between = agents.unsqueeze(1) - landmarks.unsqueeze(2)  # [2, L, agents, B]
    chosen = torch.hypot(between[0], between[1]).amin(dim=1).argmin(dim=0)  # [B]
    target = landmarks.gather(1, chosen.expand(2, 1, -1)).unsqueeze(2)  # [2, 1, 1, B]
    away = world.within_reach(team) - target  # [2, moves, adversaries, B]
    moves = _best(-torch.hypot(away[0], away[1]), generator)
    return world.actions.from_discrete(moves, team)


def act_at_random(world: World, generator: torch.Generator, team: slice) -> Tensor:
    """Every agent of the team draws uniformly from its own actions."""
    return world.actions.sample(team, world.batch_size, generator)


def _drawn(votes: Tensor, generator: torch.Generator) -> Tensor:
    """Choices in proportion to their votes, of equal chance where there are none.

    Shapes:
        votes: [choices, B], at least 0;  out: [B]
    """
    uniform = torch.rand(votes.shape, generator=generator, device=votes.device, dtype=votes.dtype)
    return ((votes + TIE) / -torch.log(uniform.clamp(min=1e-20))).argmax(dim=0)


def _best(score: Tensor, generator: torch.Generator) -> Tensor:
    """The choice of the highest score [moves, n, B], ties broken at random: [n, B]."""
    noise = torch.rand(score.shape, generator=generator, device=score.device, dtype=score.dtype)
    return (score + TIE * noise).argmax(dim=0)
