"""Runs any environment through the contract of `base.py` and explains each violation.

Eight copies, and then a single one, play whole episodes by random available actions while
everything they show is compared with what `EnvInfo` promises. Then the same choices are played
again from the same seed, from other seeds and streams, and from a saved state, to find out whether
episodes repeat when they must and differ when they must. Each violation is told once, where it was
first seen, with the value seen and what to do about it.

`terminated` and `truncated` may both be true: an episode that ends in the world at its last
possible step was also cut. Its return then ends there.
"""

import io
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor

from envs._contract_rules import FIELDS, CannotGoOn, Rules
from envs.base import BatchedEnv, EnvStep, make_env
from utils.errors import UserError

PASSES = "passes all checks"  # what a report of an environment without violations says

MakeEnv = Callable[[int, int, str, torch.device], BatchedEnv]  # batch_size, seed, stream, device
Trace = list[tuple[str, dict[str, Tensor]]]  # (where, {field: tensor}) of every reset and step

N_COPIES = 8
N_EPISODES = 3
STREAM = "env_checker"


class _Checker:
    """One check of one environment: plays it, and collects what `Rules` and comparisons find."""

    def __init__(self, make: MakeEnv, device: torch.device):
        self.make, self.device = make, device
        self.rules = Rules(device)
        self.open: list[BatchedEnv] = []

    def run(self) -> list[str]:
        """All checks; a failing one does not stop those that can still be made."""
        try:
            with torch.inference_mode():  # as runners do
                for batch_size in (N_COPIES, 1):
                    self._play_by_the_rules(batch_size)
                for check in (self._repeat, self._restore):
                    check()
                    self._close()
        except CannotGoOn:
            pass
        except Exception as error:  # whatever an environment raises is to be explained, not raised
            if isinstance(error, UserError) and self.rules.where.startswith("when it was built"):
                raise  # a missing package or the like: the user can mend it
            self.rules.fail("raises", self._raised(error))
        while self.open:  # something went wrong before; what close says now is no news
            with suppress(Exception):
                self.open.pop().close()
        return list(self.rules.found.values())

    def _raised(self, error: Exception) -> str:
        what = f"{type(error).__name__} {self.rules.where}"
        return (
            f"The environment raised {what}: {error}. Every action given was available and every "
            f"call in order, so this is the environment's own mistake; the remaining checks were "
            f"left out."
        )

    def _build(self, batch_size: int, seed: int = 1, stream: str = STREAM) -> BatchedEnv:
        self.rules.where = f"when it was built with batch_size={batch_size}, stream='{stream}'"
        env = self.make(batch_size, seed, stream, self.device)
        self.open.append(env)
        return env

    def _close(self) -> None:
        self.rules.where = "in close()"
        while self.open:
            self.open.pop().close()

    def _steps(
        self, env: BatchedEnv, n_episodes: int, same_choices: bool
    ) -> Iterator[tuple[int, EnvStep]]:
        """Play by random available actions; yields (step, what is shown), step 0 being a reset.

        Args:
            env: what to play.
            n_episodes: how many episodes; each goes one step beyond its end.
            same_choices: draw the same random choices for each copy and in each episode.
        """
        limit, n_agents = env.info.episode_limit, env.info.n_agents
        generator = torch.Generator().manual_seed(1)
        rows = 1 if same_choices else env.batch_size
        for episode in range(1, n_episodes + 1):
            if same_choices:
                generator.manual_seed(1)
            self.rules.where = f"after reset, episode {episode} of {env.batch_size} copies"
            step, ended, t = env.reset(), False, 0
            yield t, step
            while t < limit + 1:
                ended = ended or t == limit or bool((step.terminated | step.truncated).all())
                luck = torch.rand(rows, n_agents, generator=generator).to(self.device)
                actions = _choose(step.avail, luck)
                given, t = actions.clone(), t + 1
                self.rules.where = f"after step {t}, episode {episode} of {env.batch_size} copies"
                step = env.step(actions)
                if not torch.equal(actions, given):
                    self.rules.fail("actions", _ACTIONS.format(where=self.rules.where))
                yield t, step
                if ended:
                    break

    def _play_by_the_rules(self, batch_size: int) -> None:
        """Hold everything that `batch_size` copies show against the contract."""
        rules, env = self.rules, self._build(batch_size)
        rules.check_handle(env, batch_size)
        rules.check_info(env.info)
        info, seen = env.info, []
        last: EnvStep | None = None
        for t, step in self._steps(env, N_EPISODES, same_choices=False):
            rules.check_fields(step, info, batch_size)
            rules.check_values(step, info)
            if t == 0 or last is None:
                rules.check_reset(step)
            else:
                rules.check_end(t, step, last, info)
            seen.append((self.rules.where, step, _tensors(step, clone=True)))
            last = step
        for where, shown, then in seen:
            for name, tensor in _tensors(shown).items():
                if not _same(tensor, then[name]):
                    rules.fail("aliasing", _ALIASING.format(name=name, where=where))
        if env.info != info:
            rules.fail("info", "env.info changed during play; it is fixed for the lifetime.")
        self._close()

    def _trace(self, env: BatchedEnv, n_episodes: int = N_EPISODES) -> Trace:
        """Everything shown when the same choices are played in every copy and episode."""
        return [
            (self.rules.where, _tensors(step, clone=True))
            for _, step in self._steps(env, n_episodes, same_choices=True)
        ]

    def _repeat(self) -> None:
        """Same seed and stream: same episodes. Anything else: other episodes, if any are random."""
        first = self._trace(self._build(N_COPIES))
        place = _difference(first, self._trace(self._build(N_COPIES)))
        if place is not None:
            self.rules.fail("same_seed", _SAME_SEED.format(place=place))
            return
        resets = [i for i, (where, _) in enumerate(first) if "reset" in where]
        episodes = [first[a:b] for a, b in zip(resets, [*resets[1:], None], strict=True)]
        others = {
            "another stream": self._trace(self._build(N_COPIES, stream="another_stream")),
            "another seed": self._trace(self._build(N_COPIES, seed=2)),
        }
        differs = {name: _difference(first, other) is not None for name, other in others.items()}
        differs["the next reset"] = any(_difference(episodes[0], e) for e in episodes[1:])
        differs["another copy"] = any(
            not _same(x, x[:1].expand_as(x)) for _, shown in first for x in shown.values()
        )
        if any(differs.values()):
            for name in [name for name, is_other in differs.items() if not is_other]:
                self.rules.fail(name, _SAME_EPISODES.format(name=name, advice=_STREAM_ADVICE[name]))

    def _restore(self) -> None:
        """A saved state brings back the episodes that followed it."""
        env = self._build(N_COPIES)
        self._trace(env, 1)
        self.rules.where = "in state_dict()"
        file = io.BytesIO()
        torch.save(env.state_dict(), file)
        file.seek(0)
        try:
            state = torch.load(file, weights_only=True)
        except Exception as error:
            text = f"{error}".split("\n")[0]
            self.rules.fail("state_dict.plain", _STATE_PLAIN.format(error=text))
            return
        expected = self._trace(env)
        for what, other in (("the same object", env), ("a new one", self._build(N_COPIES))):
            self.rules.where = "in load_state_dict()"
            other.load_state_dict(state)
            place = _difference(expected, self._trace(other))
            if place is not None:
                self.rules.fail("state_dict", _STATE.format(what=what, place=place))


_ACTIONS = (
    "step changed the actions it was given {where}. They belong to the caller, who stores them: "
    "work on a copy."
)
_ALIASING = (
    "{name} as returned {where} was changed later by step or reset. Whoever kept it now sees "
    "something else: return new tensors instead of writing into old ones."
)
_SAME_SEED = (
    "Two environments with the same seed and stream differ in {place} although the same actions "
    "were played. Draw every random number from `torch_generator(seed, stream)` of utils/seeding, "
    "never from a global random function."
)
_SAME_EPISODES = (
    "Episodes are random, yet {name} shows exactly the same ones for the same actions. {advice}"
)
_STREAM_ADVICE = {
    "another stream": "Let `stream` name the random stream, or test episodes repeat training ones.",
    "another seed": "Let `seed` decide the random stream, or runs of different seeds are the same.",
    "the next reset": "Seed the stream in the constructor only, not in reset.",
    "another copy": "Draw random numbers of shape [B, ...], or B copies teach no more than one.",
}
_STATE_PLAIN = (
    "state_dict cannot be read back from a checkpoint ({error}). Keep to tensors, numbers, text, "
    "lists and dicts; `generator_state` of utils/seeding turns a generator into them."
)
_STATE = (
    "After load_state_dict into {what}, the episodes differ from those that followed state_dict, "
    "first in {place}. Save and restore everything that decides later episodes, in the least the "
    "random stream."
)


def check_env(make: MakeEnv, device: torch.device | None = None) -> list[str]:
    """Run an environment through the whole contract of `envs/base.py`.

    Args:
        make: builds the environment from (batch_size, seed, stream, device).
        device: where it is to live; the CPU by default.

    Returns:
        One sentence or two for each violation; empty if there is none.
    """
    return _Checker(make, device or torch.device("cpu")).run()


def report(name: str, settings: Any, prepare: Callable[[Any], Any] = lambda env: env) -> str:
    """Check the registered environment `name`; returns a summary, or the numbered violations.

    Raises a UserError if it cannot be built for a reason that the user can mend.
    """

    def make(batch_size: int, seed: int, stream: str, device: torch.device) -> BatchedEnv:
        return prepare(make_env(name, settings, batch_size, device, seed, stream))

    violations = check_env(make)
    if violations:
        noun = "place" if len(violations) == 1 else "places"
        lines = "\n".join(f"  {i}. {text}" for i, text in enumerate(violations, start=1))
        return f"{name} breaks the contract of envs/base.py in {len(violations)} {noun}:\n{lines}"
    env = make(1, 1, STREAM, torch.device("cpu"))
    info = env.info
    env.close()
    length = f"{'exactly' if info.fixed_length else 'at most'} {info.episode_limit}"
    metrics = "".join(f"\n  {key}: {text}" for key, text in info.metric_descriptions.items())
    return (
        f"{name} {PASSES}.\n"
        f"  agents: {info.n_agents} ({', '.join(info.agent_names)})\n"
        f"  actions: {_sizes(info.action_counts)}; observations: {_sizes(info.obs_dims)}; "
        f"state: {info.state_dim}\n"
        f"  episodes: {length} step{'s' * (info.episode_limit > 1)}, "
        f"{'may be truncated' if info.truncates else 'never truncated'}{metrics}"
    )


def _sizes(sizes: tuple[int, ...]) -> str:
    return str(sizes[0]) if len(set(sizes)) == 1 else ", ".join(map(str, sizes))


def _choose(avail: Tensor, luck: Tensor) -> Tensor:
    """Of each agent's n available actions the one at place floor(luck * n); 0 if there is none.

    Args:
        avail: [B, N, A] bool
        luck: [B or 1, N], in [0, 1)
    """
    place = (luck * avail.sum(dim=2)).floor().unsqueeze(2)  # [B, N, 1]
    chosen = avail & (avail.cumsum(dim=2) == place + 1)
    return chosen.int().argmax(dim=2)  # [B, N]


def _tensors(step: EnvStep, clone: bool = False) -> dict[str, Tensor]:
    """All tensors of a step by name, metrics included."""
    fields = {name: getattr(step, name) for name in FIELDS}
    fields |= {f"metric '{name}'": value for name, value in step.metrics.items()}
    tensors = {name: x for name, x in fields.items() if isinstance(x, Tensor)}
    return {name: x.clone() for name, x in tensors.items()} if clone else tensors


def _same(a: Tensor, b: Tensor) -> bool:
    """Equal in shape and entries; NaN equals NaN, since rules of their own tell of it."""
    return a.shape == b.shape and bool(((a == b) | (a.isnan() & b.isnan())).all())


def _difference(left: Trace, right: Trace) -> str | None:
    """Where two traces first differ, None if they are equal."""
    for (where, a), (_, b) in zip(left, right, strict=False):
        for name in a:
            if name not in b or not _same(a[name], b[name]):
                return f"{name} {where}"
    return None if len(left) == len(right) else "the length of an episode"
