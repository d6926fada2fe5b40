"""B copies of an environment of another library, as a `BatchedEnv`.

Every reset of a copy gets a seed of its own, made from (run's seed, stream, copy, number of the
episode); so an episode depends neither on the number of workers nor on what was played before, and
a resumed run goes on with the episodes it would have had.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from envs.base import EnvInfo, EnvStep
from envs.python_worlds._arrays import Layout
from envs.python_worlds._copies import RESET, STEP, CopyFailure, MakeWorld, Rules
from envs.python_worlds._crew import Crew, CrewFailure, Here, Workers
from envs.python_worlds._world import WorldInfo
from envs.scene import Scene
from utils.errors import UserError, outside, refuse
from utils.seeding import seed_number

SEED_BITS = 31  # kept of 63: some environments take no more


@dataclass(frozen=True)
class PythonEnvSettings:
    """Settings of every environment of another library."""

    n_workers: int = 0  # processes that step the copies, at most one per copy; 0: this process
    timeout: float = 60.0  # seconds a worker may take for one step of its copies; 0: any time
    time_limit: int = 0  # steps after which an episode is truncated; 0: the environment's own limit
    state: Literal["concat", "env"] = "concat"  # padded observations in a row, or the env's own
    varying_team: bool = True  # agents may leave early; false is faster, and an error if one does
    action_masks: bool = (
        True  # masks may exclude actions; false is faster, and an error if one does
    )
    fixed_length: bool = False  # every episode lasts to the limit; true is faster, if it is so
    rebuild: bool = False  # build a copy anew for each episode: for one that remembers the last
    metrics: dict[str, str] = field(
        default_factory=dict
    )  # {entry of the last info: its meaning}, logged for each episode

    def __post_init__(self) -> None:
        refuse(*self.problems())

    def problems(self) -> list[tuple[bool, str, str]]:
        """For `refuse`: (is it wrong, setting, sentence)."""
        return [
            *outside(self, 0, 1_000, "n_workers"),
            *outside(self, 0, 1_000_000, "time_limit"),
            (self.timeout < 0, "timeout", f"{self.timeout} must not be negative."),
        ]


class EnvironmentFailure(UserError):
    """An environment of another library raised an error, died or gave no answer."""


class PythonEnv:
    """See the module's text.

    Args:
        settings: of the adapter.
        make: builds one copy; it must be able to travel to another process.
        label: what messages call the environment.
        batch_size, device, seed, stream: see `make_env`.

    Raises:
        UserError: if the environment cannot be built.
    """

    def __init__(
        self,
        settings: PythonEnvSettings,
        make: MakeWorld,
        label: str,
        batch_size: int,
        device: torch.device,
        seed: int,
        stream: str,
    ):
        self.batch_size, self.device, self.label = batch_size, torch.device(device), label
        self._seed, self._stream = seed, stream
        self._episode = self._step = 0
        found = _describe(make, label)
        self.info = info = _env_info(found, settings, label)
        self._own_state = found.state_dim > 0
        self._metric_names = tuple(settings.metrics)
        self._crew = _crew(make, found, info, settings, batch_size, label)
        arrays = self._crew.arrays
        self._actions = torch.from_numpy(arrays.actions)
        self._live = {name: torch.from_numpy(getattr(arrays, name)) for name in self._shown_names()}
        self._all_actions: Tensor | None = None
        if not info.dynamic_avail:
            counts = torch.tensor(info.action_counts, device=self.device).unsqueeze(1)
            real = torch.arange(info.n_actions, device=self.device) < counts  # [N, A]
            self._all_actions = real.expand(batch_size, -1, -1).contiguous()

    def reset(self) -> EnvStep:
        """See `BatchedEnv`."""
        self._step = 0
        self._crew.arrays.seeds[:] = [self._reset_seed(b) for b in range(self.batch_size)]
        self._episode += 1
        return self._run(RESET)

    def step(self, actions: Tensor) -> EnvStep:
        """See `BatchedEnv`."""
        self._step += 1
        self._actions.copy_(actions)
        return self._run(STEP)

    def _reset_seed(self, copy: int) -> int:
        return seed_number(self._seed, self._stream, copy, self._episode) >> (63 - SEED_BITS)

    def _run(self, command: int) -> EnvStep:
        arrays = self._crew.arrays
        arrays.control[1] = self._step
        try:
            self._crew.run(command)
        except CrewFailure as failure:
            where = "reset" if command == RESET else f"step {self._step}"
            seed = int(arrays.seeds[failure.copy])
            self.close()
            raise EnvironmentFailure(
                f"{self.label} failed in {where} of copy {failure.copy}, whose episode began with "
                f"reset(seed={seed}): {failure.text}"
            ) from None
        return self._shown()

    def _shown(self) -> EnvStep:
        """What the arrays hold now, as new tensors: workers will write into the old ones again."""
        x = {name: live.to(self.device, copy=True) for name, live in self._live.items()}
        return EnvStep(
            obs=x["obs"],
            state=x["state"] if self._own_state else x["obs"].flatten(1),
            avail=x["avail"] if self._all_actions is None else self._all_actions,
            reward=x["reward"],
            terminated=x["ended"][:, 0],
            truncated=x["ended"][:, 1],
            metrics={name: x["metrics"][:, m] for m, name in enumerate(self._metric_names)},
            is_active=x.get("is_active"),
        )

    def _shown_names(self) -> list[str]:
        """The arrays that steps show; the others never change."""
        info = self.info
        wanted = {
            "state": self._own_state,
            "avail": info.dynamic_avail,
            "is_active": info.varying_team,
            "metrics": bool(self._metric_names),
        }
        return [
            "obs",
            "reward",
            "ended",
            *(name for name, is_wanted in wanted.items() if is_wanted),
        ]

    def state_dict(self) -> dict[str, Any]:
        """The number of the next episode; seed and stream are the run's own."""
        return {"episode": self._episode}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with the episodes that followed `state_dict`."""
        self._episode = int(state["episode"])

    def scene(self, copy: int) -> Scene:
        """See `Drawable`: the environment's own picture."""
        if not isinstance(self._crew, Here):
            raise UserError("Films need the environment in this process. Add env_args.n_workers=0.")
        return Scene(picture=self._crew.copies.worlds[copy].picture())

    def close(self) -> None:
        """End the workers and close every copy."""
        self._crew.close()


def _describe(make: MakeWorld, label: str) -> WorldInfo:
    """Build one copy in this process to learn the environment's sizes."""
    try:
        world = make()
        try:
            return world.describe()
        finally:
            world.close()
    except UserError:
        raise
    except Exception as error:
        text = CopyFailure(0, error).text
        raise EnvironmentFailure(f"{label} failed while it was built: {text}") from None


def _crew(
    make: MakeWorld,
    found: WorldInfo,
    info: EnvInfo,
    settings: PythonEnvSettings,
    batch_size: int,
    label: str,
) -> Crew:
    """Who steps the copies, with all of them built."""
    n_workers = min(settings.n_workers, batch_size)
    layout = Layout(
        b=batch_size,
        n=info.n_agents,
        o=info.obs_dim,
        a=info.n_actions,
        s=found.state_dim,
        m=len(settings.metrics),
        w=max(n_workers, 1),
    )
    rules = Rules(
        info.episode_limit,
        tuple(settings.metrics),
        settings.varying_team,
        settings.fixed_length,
        settings.rebuild,
    )
    try:
        if n_workers:
            return Workers(make, rules, layout, batch_size, n_workers, settings.timeout)
        return Here(make, rules, layout, batch_size)
    except CrewFailure as failure:
        raise EnvironmentFailure(
            f"{label} failed while copy {failure.copy} was built: {failure.text}"
        ) from None


def _env_info(found: WorldInfo, settings: PythonEnvSettings, label: str) -> EnvInfo:
    limits = [limit for limit in (settings.time_limit, found.step_limit) if limit]
    if not limits:
        raise UserError(
            f"{label} does not say how long an episode may last. Write "
            f"env_args.time_limit=<steps>; longer episodes are truncated there."
        )
    n, o = len(found.agent_names), max(found.obs_dims)
    return EnvInfo(
        n_agents=n,
        n_actions=max(found.action_counts),
        obs_dim=o,
        state_dim=found.state_dim or n * o,
        episode_limit=min(limits),
        agent_names=found.agent_names,
        obs_dims=found.obs_dims,
        action_counts=found.action_counts,
        metric_descriptions=dict(settings.metrics),
        varying_team=settings.varying_team,
        dynamic_avail=settings.varying_team or settings.action_masks,
        fixed_length=settings.fixed_length,
    )
