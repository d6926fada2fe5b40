"""Opponents, who do not learn here: rules, play at random, a decoder, and trained policies.

Numbers against different opponents cannot be compared; `opponent` and `opponent_path` in a run's
configuration name the one that was played against.

In these worlds a move changes the velocity, and only the step after that the position. A rule for
movement therefore looks two steps ahead: at the first place that its move can change, contacts left
aside. It sees all positions, hidden ones included.

Rules choose among the same five moves and the same words whatever the learners' actions are; a
continuous world gets them as the numbers that do the same (`of_numbered`).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from envs.base import Player
from envs.mpe._scenario import ADVERSARIES, GOOD, out_of_bounds
from utils.errors import UserError

if TYPE_CHECKING:
    from envs.mpe._view import View
    from envs.mpe._world import World

FEAR_OF_BOUNDS = 10.0  # metres of distance that a unit of the penalty for leaving is worth
TIE = 1e-6  # scores closer than this are decided by chance
MEMORY = 25_000  # heard symbols after which the decoder has forgotten all but 1/e


class Opponent(ABC):
    """Plays the team that does not learn, n agents in B worlds."""

    @abstractmethod
    def act(self, last_actions: Tensor | None, generator: torch.Generator) -> Tensor:
        """The team's actions for one step.

        Args:
            last_actions: [all agents, B], what everyone did in the step before; None in an
                episode's first step. Continuous: [all agents, A, B].
            generator: the environment's random stream.

        Returns:
            [n, B] int64; continuous: [n, A, B] float32
        """

    def state_dict(self) -> dict[str, Any]:
        """What is remembered from one episode to the next."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:  # noqa: B027
        """Restore what `state_dict` returned; another opponent's memory is left alone."""


class Rule(Opponent):
    """Plays by a function of the world, from (world, random stream) to the team's actions."""

    def __init__(self, rule: "Callable[[World, torch.Generator], Tensor]", world: "World"):
        self.rule, self.world = rule, world

    def act(self, last_actions: Tensor | None, generator: torch.Generator) -> Tensor:
        """See `Opponent`."""
        return self.rule(self.world, generator)


class MajorityDecoder(Opponent):
    """Listens to a speaker and says the secret that went with the word most often in the past.

    It breaks every code that gives each secret words of its own. A code with a key that it does not
    see leaves it guessing, because the same word then goes with every secret.

    Past are all episodes before, and what the *other* copies of the world, which play at the same
    time, have said so far; the secret of its own episode it never sees. So it knows a code from the
    second step of a large batch on. It forgets with every word heard, because codes change while
    they are learnt. Ties are broken at random. Where words have strengths (continuous actions), one
    said with half the strength counts half; a code of strengths alone is beyond it.

    Args:
        world: B worlds.
        speaker: the agent it listens to.
        secret: the signal that it wants to know, one-hot.
        n_secrets: how many values the secret has, the first ones of the signal.
    """

    def __init__(self, world: "World", speaker: int, secret: str, n_secrets: int):
        self.world, self.speaker, self.secret, self.n_secrets = world, speaker, secret, n_secrets
        shape = (len(world.symbol(speaker)), n_secrets, world.batch_size)
        # How often each word and secret went together in the present episodes, and in those before.
        with torch.inference_mode(False):  # written to in either mode
            self._now = torch.zeros(shape, device=world.device, dtype=world.dtype)
            self._past = self._now.sum(dim=2)  # [words, secrets]

    def act(self, last_actions: Tensor | None, generator: torch.Generator) -> Tensor:
        """See `Opponent`."""
        if last_actions is None:
            self._begin(self._all())
        heard = self.world.symbol(self.speaker)  # [words, B], zero in the first step
        true = self.world.signal(self.secret)[: self.n_secrets]  # [secrets, B]
        self._now.add_(heard.unsqueeze(1) * true)  # in place: a CUDA graph finds it there again
        others = self._now.sum(dim=2, keepdim=True) - self._now  # [words, secrets, B]
        votes = (self._past.unsqueeze(2) + others) * heard.unsqueeze(1)
        said = _best(votes.sum(dim=0), generator).unsqueeze(0)  # [1, B]
        world = self.world
        return world.actions.of_numbered(said, world.scenario.team(ADVERSARIES))

    def _all(self) -> Tensor:
        """The past with the present episodes added to it: [words, secrets]."""
        kept = torch.exp(-self._now.sum() / MEMORY)
        return self._past * kept + self._now.sum(dim=2)

    def _begin(self, past: Tensor) -> None:
        """New episodes after the given past."""
        self._past.copy_(past)
        self._now.zero_()

    def state_dict(self) -> dict[str, Any]:
        """See `Opponent`."""
        return {"past": self._all().cpu()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `Opponent`."""
        if "past" in state:
            self._begin(state["past"])


class Trained(Opponent):
    """A frozen policy that looks at the world as it did in its training, through its own view.

    Its view may hold agents of the other team too, if those learnt beside it. It is then shown what
    they see and what they really did, and what it would do in their place is left out.

    Args:
        player: the policy.
        world: B worlds.
        view: how they looked in its training.
        team: the n agents that it plays here.
        path: where the policy comes from.
        fingerprint: of its weights.
    """

    def __init__(
        self, player: Player, world: "World", view: "View", team: slice, path: str, fingerprint: str
    ):
        self.player, self.world, self.view = player, world, view
        self.path, self.fingerprint = path, fingerprint
        first = view.learners.start
        self._mine = slice(team.start - first, team.stop - first)

    def act(self, last_actions: Tensor | None, generator: torch.Generator) -> Tensor:
        """See `Opponent`."""
        view, actions = self.view, self.world.actions
        last = None
        if last_actions is not None:  # [B, N]; continuous: [B, N, A]
            last = actions.by_world(last_actions[view.learners], view.info.n_actions)
        chosen = self.player.act(view.look(self.world.table), last, generator)
        return actions.by_agent(chosen)[self._mine]

    def state_dict(self) -> dict[str, Any]:
        """Which policy it is."""
        return {"path": self.path, "fingerprint": self.fingerprint}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Check that it is still the same policy, unless another one was asked for.

        Raises:
            UserError: if the same path now holds another one.
        """
        if state.get("path") == self.path and state["fingerprint"] != self.fingerprint:
            raise UserError(
                f"The opponent at {self.path} (env_args.opponent_path) is not the one that this "
                f"run was trained against: its weights have changed. Bring the old ones back, or "
                f"start a new run against the new ones with checkpoint_path=<this run>."
            )


def flee(world: "World", generator: torch.Generator) -> Tensor:
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
    return world.actions.of_numbered(moves, prey)


def guard(world: "World", generator: torch.Generator) -> Tensor:
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
    return world.actions.of_numbered(moves, team)


def at_random(world: "World", generator: torch.Generator, team: slice) -> Tensor:
    """Every agent of the team draws uniformly from its own actions."""
    return world.actions.at_random(team, world.batch_size, generator)


def _best(score: Tensor, generator: torch.Generator) -> Tensor:
    """The move of the highest score [moves, n, B], ties broken at random: [n, B]."""
    luck = torch.rand(score.shape, generator=generator, device=score.device, dtype=score.dtype)
    return (score + TIE * luck).argmax(dim=0)
