"""Runs any environment through the contract of `base.py` and explains each violation.

A batch of eight, and then of one, plays whole episodes by random available actions. Observations,
rewards and flags are compared with what `EnvInfo` promises. Then the same choices are played again
from the same seed, from other seeds and streams, and from a saved state, to find out whether
episodes repeat when they must and differ when they must. Each violation is reported once, where it
was first seen, with the value seen and the remedy. What breaks no rule, but is often a mistake,
such as a time limit that is reported as termination, is a warning.

A slow environment is checked for as long as the budget allows: fewer steps, and at last fewer
checks. The report says what was left out.

`terminated` and `truncated` may both be true: an episode that ends in the world at its last
possible step was also cut. Its return then ends there.
"""

import io
import math
from collections.abc import Callable, Iterator
from contextlib import suppress

import torch
from torch import Tensor

from envs.base import BatchedEnv, EnvInfo, EnvironmentFailure, EnvStep
from envs.checker.budget import Budget, OutOfTime
from envs.checker.continuous_actions import choose_numbers
from envs.checker.likely_mistakes import LikelyMistakes
from envs.checker.messages import (
    ACTIONS,
    ACTIONS_OF_NUMBERS,
    ALIASING,
    SAME_EPISODES,
    SAME_SEED,
    STATE,
    STATE_PLAIN,
    STREAM_ADVICE,
)
from envs.checker.rules import CannotGoOn, Rules
from envs.checker.traces import (
    Trace,
    changed,
    choose,
    difference,
    episodes,
    slots_differ,
    tensors,
)
from utils.errors import UserError

MakeEnv = Callable[[int, int, str, torch.device], BatchedEnv]  # batch_size, seed, stream, device

N_ENVS = 8
N_EPISODES = 3
SHARES = {N_ENVS: 0.4, 1: 0.5}  # of the budget, spent when the rules have been checked so far
N_TRACES = 12  # eight are played when the rules have been checked; building takes time, too
FEWEST_STEPS = 3  # of an episode in a trace, however slow
STREAM = "env_checker"
BUILDING = "when it was built"


class Checker:
    """One check of one environment: plays it, and collects what `Rules` and comparisons find."""

    def __init__(self, make: MakeEnv, device: torch.device, budget: Budget):
        self.make, self.device, self.budget = make, device, budget
        self.rules, self.likely_mistakes = Rules(device), LikelyMistakes()
        self.info: EnvInfo | None = None
        self.left_out: list[str] = []  # what there was no time for
        self.trace_steps = math.inf  # steps of each episode in a trace
        self.open: list[BatchedEnv] = []

    def run(self) -> list[str]:
        """All checks; a failing one does not stop those that can still be made."""
        try:
            with torch.inference_mode():  # as runners do
                for batch_size in SHARES:
                    self._play_by_the_rules(batch_size)
                for check in (self._repeat, self._restore):
                    check()
                    self._close()
        except CannotGoOn:
            pass
        except OutOfTime as part:
            self.left_out.append(f"the rest, from '{part}' on")
        except (
            Exception,
            SystemExit,
        ) as error:  # any exception of an environment is reported, not raised
            if isinstance(error, UserError) and self.rules.where.startswith(BUILDING):
                raise  # a missing package or the like: the user can correct it
            self.rules.fail("raises", self._raised(error))
        self._close_all()
        return list(self.rules.found.values())

    def _close_all(self) -> None:
        while self.open:  # something went wrong before; an error of close adds nothing
            with suppress(Exception, SystemExit):
                self.open.pop().close()

    def _raised(self, error: Exception | SystemExit) -> str:
        where, text = self.rules.where, f"{error}".rstrip(".")
        if isinstance(error, EnvironmentFailure) and error.has_remedy:
            return f"Play ended {where}: {text}. The remaining checks were left out."
        if where.startswith(BUILDING):
            advice = "Correct its constructor"
        else:
            given = "available"
            if self.info is not None and self.info.is_continuous:
                given = f"{ACTIONS_OF_NUMBERS}, within its bounds,"
            advice = (
                f"Every action given was {given} and every call in order, so this is a mistake of "
                f"the environment"
            )
        return (
            f"The environment raised {type(error).__name__} {where}: {text}. {advice}; the "
            f"remaining checks were left out."
        )

    def _build(self, batch_size: int, seed: int = 1, stream: str = STREAM) -> BatchedEnv:
        self.rules.where = f"{BUILDING} with batch_size={batch_size}, stream='{stream}'"
        env = self.make(batch_size, seed, stream, self.device)
        self.open.append(env)
        return env

    def _close(self) -> None:
        self.rules.where = "in close()"
        while self.open:
            self.open.pop().close()

    def _steps(
        self, env: BatchedEnv, n_episodes: int, same_choices: bool, most_steps: float = math.inf
    ) -> Iterator[tuple[int, EnvStep]]:
        """Play by random available actions; yields (step, what is shown), step 0 being a reset.

        Args:
            env: what to play.
            n_episodes: how many episodes; each goes one step beyond its end.
            same_choices: draw the same random choices in each env slot and episode.
            most_steps: how many of each episode.
        """
        limit = env.info.episode_limit
        generator = torch.Generator().manual_seed(1)
        rows = 1 if same_choices else env.batch_size
        for episode in range(1, n_episodes + 1):
            if same_choices:
                generator.manual_seed(1)
            playing = f"episode {episode} of {env.batch_size} environments"
            self.rules.where = f"after reset, {playing}"
            step, ended, t = env.reset(), False, 0
            yield t, step
            while t < min(limit + 1, most_steps):
                self.budget.require(f"episode {episode} of {n_episodes}, step {t} of {limit}")
                ended = ended or t == limit or bool((step.terminated | step.truncated).all())
                actions = self._choose(env, step, rows, generator)
                given, t = actions.clone(), t + 1
                self.rules.where = f"after step {t}, {playing}"
                step = env.step(actions)
                if not torch.equal(actions, given):
                    self.rules.fail("actions", ACTIONS.format(where=self.rules.where))
                yield t, step
                if ended:
                    break

    def _choose(
        self, env: BatchedEnv, step: EnvStep, rows: int, generator: torch.Generator
    ) -> Tensor:
        """Random actions for every environment, the same for all if `rows` is 1."""
        n, a = env.info.n_agents, env.info.n_actions
        if env.info.is_continuous:
            uniform = torch.rand(rows, n, a, generator=generator).to(self.device)
            return choose_numbers(env.info, uniform).expand(env.batch_size, -1, -1).contiguous()
        uniform = torch.rand(rows, n, generator=generator).to(self.device)
        return choose(step.avail, uniform)

    def _play_by_the_rules(self, batch_size: int) -> None:
        """Check all that a batch of `batch_size` returns against the contract."""
        self.budget.begin(f"rules, batches of {batch_size}")
        rules, env, began = self.rules, self._build(batch_size), self.budget.spent
        rules.check_handle(env, batch_size)
        rules.check_info(env.info)
        self.info = info = env.info
        seen: list[tuple[str, EnvStep, dict[str, Tensor]]] = []
        last: EnvStep | None = None
        for t, step in self._steps(env, N_EPISODES, same_choices=False):
            rules.check_fields(step, info, batch_size)
            rules.check_values(step, info)
            if t == 0 or last is None:
                rules.check_reset(step)
            else:
                rules.check_end(t, step, last, info)
            self.likely_mistakes.watch(t, step)
            seen.append((self.rules.where, step, tensors(step, clone=True)))
            last = step
            if self.budget.spent > SHARES[batch_size] * self.budget.seconds:
                self.left_out.append(
                    f"rules, batches of {batch_size}: what follows {self.rules.where}"
                )
                break
        for name, where in changed(seen):
            rules.fail("aliasing", ALIASING.format(name=name, where=where))
        if env.info != info:
            rules.fail("info", "env.info changed during play; it is fixed for the lifetime.")
        if batch_size == N_ENVS:
            self._shorten_traces((self.budget.spent - began) / len(seen))
        self._close()

    def _shorten_traces(self, seconds_per_step: float) -> None:
        """Make the traces so short that the budget is enough for all."""
        left = (1 - max(SHARES.values())) * self.budget.seconds
        most = left / (N_TRACES * N_EPISODES * max(seconds_per_step, 1e-9))
        if self.info is not None and most < self.info.episode_limit + 1:
            self.trace_steps = max(FEWEST_STEPS, math.floor(most))
            self.left_out.append(
                f"repeating episodes beyond their step {self.trace_steps}, with other seeds, "
                f"streams and from a saved state"
            )

    def _trace(self, env: BatchedEnv, n_episodes: int = N_EPISODES) -> Trace:
        """Everything shown when the same choices are played in every env slot and episode."""
        return [
            (self.rules.where, tensors(step, clone=True))
            for _, step in self._steps(env, n_episodes, True, self.trace_steps)
        ]

    def _repeat(self) -> None:
        """Same seed and stream: same episodes. Anything else: other episodes, if any are random."""
        self.budget.begin("the same and other seeds and streams")
        first = self._trace(self._build(N_ENVS))
        place = difference(first, self._trace(self._build(N_ENVS)))
        if place is not None:
            self.rules.fail("same_seed", SAME_SEED.format(place=place))
            return
        played = episodes(first)
        others = {
            "another stream": self._trace(self._build(N_ENVS, stream="another_stream")),
            "another seed": self._trace(self._build(N_ENVS, seed=2)),
        }
        differs = {name: difference(first, other) is not None for name, other in others.items()}
        differs["the next reset"] = any(difference(played[0], e) for e in played[1:])
        differs["another env slot"] = slots_differ(first)
        if any(differs.values()) and self.trace_steps == math.inf:  # what is short may be alike
            for name in [name for name, is_other in differs.items() if not is_other]:
                self.rules.fail(name, SAME_EPISODES.format(name=name, advice=STREAM_ADVICE[name]))

    def _restore(self) -> None:
        """A saved state brings back the episodes that followed it."""
        self.budget.begin("saved states")
        env = self._build(N_ENVS)
        self._trace(env, 1)
        self.rules.where = "in state_dict()"
        file = io.BytesIO()
        torch.save(env.state_dict(), file)
        file.seek(0)
        try:
            state = torch.load(file, weights_only=True)
        except Exception as error:
            text = f"{error}".split("\n")[0]
            self.rules.fail("state_dict.plain", STATE_PLAIN.format(error=text))
            return
        expected = self._trace(env)
        for what, other in (("the same object", env), ("a new one", self._build(N_ENVS))):
            self.rules.where = "in load_state_dict()"
            other.load_state_dict(state)
            place = difference(expected, self._trace(other))
            if place is not None:
                self.rules.fail("state_dict", STATE.format(what=what, place=place))


def check_env(make: MakeEnv, device: torch.device | None = None) -> list[str]:
    """Run an environment through the whole contract of `envs/base.py`.

    Args:
        make: builds the environment from (batch_size, seed, stream, device).
        device: of its tensors; the CPU by default.

    Returns:
        One or two sentences for each violation; empty if there is none.
    """
    return Checker(make, device or torch.device("cpu"), Budget()).run()
