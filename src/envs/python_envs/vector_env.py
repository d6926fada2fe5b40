"""B parallel environments of another library, as one `BatchedEnv`.

Every reset has a separate seed, made from (run's seed, stream, slot, number of the episode). So an
episode depends neither on the number of workers nor on what was played before, and a resumed run
continues with the episodes it would have had.

With `on_worker_error: restart` a worker that fails is replaced at once. Those of its episodes that
had not ended are lost (`EnvStep.lost`), and its environments wait for the next reset. That reset
has the seeds of the next episode, as always: no seed is played twice.
"""

import functools
import logging
from typing import Any

import numpy as np
import torch
from torch import Tensor

from envs.base import EnvInfo, EnvironmentFailure, EnvStep
from envs.python_envs.backends import Backend, BackendFailure, InProcessBackend, WorkerBackend
from envs.python_envs.env_info import bounds, env_info
from envs.python_envs.parallel_envs import RESET, STEP, EpisodeRules, MakeEnv, SlotFailure
from envs.python_envs.settings import PythonEnvSettings
from envs.python_envs.shared_memory import Array, MemoryLayout, clear_slots
from envs.python_envs.wrapped_env import WrappedEnvInfo
from envs.scene import Scene
from utils.errors import UserError
from utils.seeding import seed_number

SEED_BITS = 31  # kept of 63: some environments take no more


class VectorEnv:
    """B environments of another library, stepped in this process or by workers.

    Args:
        settings: of the adapter.
        make: builds one environment; it must be picklable.
        label: what messages call the environment.
        batch_size, device, seed, stream: see `make_env`.
        raw_state: the bits of the environment's own state mean something else than float32.

    Raises:
        UserError: if the environment cannot be built.
    """

    def __init__(
        self,
        settings: PythonEnvSettings,
        make: MakeEnv,
        label: str,
        batch_size: int,
        device: torch.device,
        seed: int,
        stream: str,
        raw_state: bool = False,
    ):
        self.batch_size, self.device, self.label = batch_size, torch.device(device), label
        self._seed, self._stream = seed, stream
        self._episode = self._step = 0
        self._lost: Tensor | None = None  # [B] bool, see `EnvStep`
        self._restarts, self._max_restarts = 0, settings.max_restarts
        self._restarting = settings.on_worker_error == "restart"
        found = _describe(make, label)
        self.info = info = env_info(found, settings, label)
        self._own_state = found.state_dim > 0
        self._bounds = bounds(found)  # [N, O] each, until a warning was given
        if found.is_image:
            warn_once(
                f"{label}: agents observe images of {info.obs_dim:,} bytes. The networks here have "
                f"no convolutions and read them as flat vectors, divided by 255. Smaller images, "
                f"or numbers that say what matters, learn faster."
            )
        self._metric_names = tuple(settings.metrics)
        rules = EpisodeRules(
            info.episode_limit,
            self._metric_names,
            settings.varying_team,
            settings.fixed_length,
            settings.rebuild,
            raw_state,
        )
        self._backend = _build_backend(make, rules, found, info, settings, batch_size, label)
        arrays = self._backend.arrays
        self._actions = torch.from_numpy(arrays.actions)
        self._live = {
            name: torch.from_numpy(getattr(arrays, name)) for name in self._changing_arrays()
        }
        self._all_actions: Tensor | None = None
        if not info.dynamic_avail:
            counts = torch.tensor(info.action_counts, device=self.device).unsqueeze(1)
            real = torch.arange(info.n_actions, device=self.device) < counts  # [N, A]
            self._all_actions = real.expand(batch_size, -1, -1).contiguous()

    def reset(self) -> EnvStep:
        """Start a new episode in every slot."""
        self._step, self._lost = 0, None
        self._backend.arrays.seeds[:] = [self._reset_seed(b) for b in range(self.batch_size)]
        self._episode += 1
        return self._run(RESET)

    def step(self, actions: Tensor) -> EnvStep:
        """Play one step in every slot whose episode has not ended."""
        self._step += 1
        self._actions.copy_(actions)
        return self._run(STEP)

    def _reset_seed(self, slot: int) -> int:
        return seed_number(self._seed, self._stream, slot, self._episode) >> (63 - SEED_BITS)

    def _run(self, command: int) -> EnvStep:
        self._backend.arrays.control[1] = self._step
        alive = np.ones(self.batch_size, dtype=np.bool_)
        if command == STEP:
            alive &= ~self._backend.arrays.ended.any(axis=1)
        for failure in self._backend.run(command):
            where = "reset" if command == RESET else f"step {self._step}"
            seed = int(self._backend.arrays.seeds[failure.slot])
            self._restart(
                failure,
                alive,
                f"{self.label} failed in {where} of environment {failure.slot}, whose episode "
                f"began with reset(seed={seed}): {failure.text}",
            )
        return self._env_step()

    def _restart(self, failure: BackendFailure, alive: Array, said: str) -> None:
        """Restart the worker that failed, whose episodes are lost, or raise."""
        if not self._restarting or failure.is_final:
            self.close()
            raise EnvironmentFailure(said, has_remedy=failure.is_final)
        if self._restarts == self._max_restarts:
            self.close()
            raise EnvironmentFailure(
                f"{said}\nWorkers were restarted {self._restarts} times before, and "
                f"env_args.max_restarts allows no more. Correct the environment, or raise it."
            )
        assert isinstance(self._backend, WorkerBackend)  # checked by the settings
        self._restarts += 1
        lost = alive & self._backend.slots_of(failure.worker)
        logging.getLogger(__name__).warning(
            f"{said}\nThe worker is restarted ({self._restarts} of env_args.max_restarts="
            f"{self._max_restarts}). Episodes lost with it, which are neither learnt from nor "
            f"counted: {lost.sum()}."
        )
        try:
            self._backend.restart(failure.worker)
        except BackendFailure as again:
            raise EnvironmentFailure(
                f"{self.label} failed while environment {again.slot} was built again: {again.text}"
            ) from None
        clear_slots(self._backend.arrays, lost, self.info.action_counts)
        self._backend.arrays.reward[self._backend.slots_of(failure.worker)] = 0
        now = torch.from_numpy(lost).to(self.device)
        self._lost = now if self._lost is None else now | self._lost

    def _env_step(self) -> EnvStep:
        """What the arrays hold now, copied, because workers write into them again."""
        if self._bounds is not None:
            self._warn_outside(*self._bounds)
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
            lost=self._lost,
        )

    def _warn_outside(self, low: Array, high: Array) -> None:
        """Warn once that an observation lies outside its space."""
        obs, active = self._backend.arrays.obs, self._backend.arrays.is_active
        outside = ((obs < low) | (obs > high)) & active[:, :, None]  # [B, N, O]
        if outside.any():
            b, i, o = np.argwhere(outside)[0].tolist()
            self._bounds = None
            warn_once(
                f"{self.label}: agent '{self.info.agent_names[i]}' observes {obs[b, i, o]:g} at "
                f"position {o}, outside its space of {low[i, o]:g} to {high[i, o]:g}. The value is "
                f"used as it is. If it is right, correct the environment's observation space."
            )

    def _changing_arrays(self) -> list[str]:
        """Names of the arrays that a step may change."""
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
        """The number of the next episode; seed and stream are those of the run."""
        return {"episode": self._episode}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue with the episodes that followed `state_dict`."""
        self._episode = int(state["episode"])

    def scene(self, b: int) -> Scene:
        """What the environment in a slot draws of itself."""
        if not isinstance(self._backend, InProcessBackend):
            raise UserError("Films need the environment in this process. Add env_args.n_workers=0.")
        return Scene(picture=self._backend.parallel_envs.envs[b].picture())

    def close(self) -> None:
        """Close every environment and end the workers."""
        self._backend.close()


def _describe(make: MakeEnv, label: str) -> WrappedEnvInfo:
    """Build one environment in this process to learn its sizes."""
    try:
        env = make()
        try:
            return env.describe()
        finally:
            env.close()
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        text = SlotFailure(0, error).text
        raise EnvironmentFailure(f"{label} failed while it was built: {text}") from None


def _build_backend(
    make: MakeEnv,
    rules: EpisodeRules,
    found: WrappedEnvInfo,
    info: EnvInfo,
    settings: PythonEnvSettings,
    batch_size: int,
    label: str,
) -> Backend:
    """Build all environments, and the backend that steps them."""
    n_workers = min(settings.n_workers, batch_size)
    layout = MemoryLayout(
        b=batch_size,
        n=info.n_agents,
        o=info.obs_dim,
        a=info.n_actions,
        s=found.state_dim,
        m=len(settings.metrics),
        w=max(n_workers, 1),
        is_image=found.is_image,
        is_continuous=info.is_continuous,
    )
    try:
        if n_workers:
            return WorkerBackend(make, rules, layout, batch_size, n_workers, settings.timeout)
        return InProcessBackend(make, rules, layout, batch_size)
    except BackendFailure as failure:
        raise EnvironmentFailure(
            f"{label} failed while environment {failure.slot} was built: {failure.text}"
        ) from None


@functools.cache
def warn_once(text: str) -> None:
    """Log a warning that has not been logged before, from any environment."""
    logging.getLogger(__name__).warning(text)
