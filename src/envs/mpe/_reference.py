"""Worlds that mpe2 itself computes: `backend: pettingzoo`.

Environments of mpe2, in this process or in workers, play the episodes. The state of their worlds is
written into the table of a native `World`, followed by what agents observe. So observations and
rewards are those of mpe2, while opponents and events use the same code as on native worlds.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from envs.base import EnvInfo, EnvStep
from envs.mpe._actions import describe_actions
from envs.mpe._config import MpeConfig
from envs.mpe._mpe2 import TASKS
from envs.mpe._observation_layout import ObservationLayout, Rows
from envs.mpe._scenario import Scenario
from envs.mpe._world import World, observation_rows
from envs.python_envs.pettingzoo_wrapper import PettingZooWrapper
from envs.python_envs.settings import PythonEnvSettings
from envs.python_envs.vector_env import VectorEnv
from utils.errors import UserError
from utils.invocation import pip_install

AGREES = "1.1.1"  # version of mpe2 that the scenarios agree with


@dataclass(frozen=True)
class ReportedLayout(ObservationLayout):
    """A table with the observations that mpe2 reports, N rows of features, before its zero row."""

    info: EnvInfo

    @property
    def first_observation(self) -> int:
        """Row of the first agent's first feature."""
        return super().zero

    @property
    @override
    def zero(self) -> int:
        return self.first_observation + self.info.n_agents * self.info.obs_dim

    def reported(self, i: int) -> Rows:
        """The observation of agent `i` as mpe2 reports it."""
        first = self.first_observation + i * self.info.obs_dim
        return self._plain(range(first, first + self.info.obs_dims[i]))


class ReferenceWorld(World):
    """B worlds of mpe2.

    Args:
        scenario: of these worlds.
        config: of the environment.
        batch_size, device, seed, stream: see `make_env`.

    Raises:
        UserError: if mpe2 is missing, or its task is not the scenario.
    """

    def __init__(
        self,
        scenario: Scenario,
        config: MpeConfig,
        batch_size: int,
        device: torch.device,
        seed: int,
        stream: str,
    ):
        task = f"mpe2.{TASKS[config.scenario]}"
        given: dict[str, Any] = {"scenario": config.scenario, "max_cycles": config.max_cycles}
        continuous = given["continuous_actions"] = config.continuous_actions
        if scenario.has_local_ratio:
            given["local_ratio"] = scenario.local_ratio
        make = partial(PettingZooWrapper, "envs.mpe._mpe2:parallel_env", given, True, False)
        settings = PythonEnvSettings(
            n_workers=config.n_workers,
            timeout=0,
            state="env",
            varying_team=False,
            action_masks=False,
            fixed_length=True,
        )
        sizes = (batch_size, device, seed, stream)
        self._env = VectorEnv(settings, make, task, *sizes, raw_state=True)
        _require_same_task(task, self._env.info, scenario, continuous)
        self._reported = ReportedLayout(scenario, self._env.info)
        super().__init__(scenario, batch_size, device, layout=self._reported, continuous=continuous)
        self._reward: Tensor  # [N, B]

    @override
    def observation_rows(self, i: int) -> Rows:
        return self._reported.reported(i)

    def reset(self, generator: torch.Generator) -> None:
        """New episodes, with the seeds that `VectorEnv` gives them."""
        self._take(self._env.reset())

    @override
    def advance(self, actions: Tensor) -> None:
        given = self.actions.to_env(actions, self._env.info.n_actions)
        self._take(self._env.step(given))

    def rewards(self) -> tuple[Tensor, Tensor | None]:
        """The rewards that mpe2 reported, and the events counted here."""
        _, events = super().rewards()
        return self._reward, events

    def _take(self, step: EnvStep) -> None:
        """Fill the table with what mpe2 reports."""
        state = step.state.view(torch.float64)  # [B, rows], see `_mpe2.parallel_env`
        self.table[: state.shape[1]] = state.t()
        self.table[self._reported.first_observation : -1] = step.obs.flatten(1).t()
        self._reward = step.reward.t()
        self.measure()

    @override
    def state_dict(self) -> dict[str, Any]:
        return self._env.state_dict()

    @override
    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._env.load_state_dict(state)

    @override
    def close(self) -> None:
        self._env.close()


def _require_same_task(task: str, found: EnvInfo, scenario: Scenario, continuous: bool) -> None:
    """Raise if mpe2's task has other agents, observations or actions than the scenario."""
    layout = ObservationLayout(scenario)
    ours = [
        (
            agent.name,
            len(observation_rows(scenario, layout, i)),
            describe_actions(agent, continuous).space.size,
        )
        for i, agent in enumerate(scenario.agents)
    ]
    theirs = list(zip(found.agent_names, found.obs_dims, found.action_counts, strict=True))
    if theirs != ours:
        raise UserError(
            f"{task} has (agent, observation, actions) {theirs}, and the scenario has {ours}. "
            f"Install the version that it agrees with: `{pip_install(f'mpe2=={AGREES}')}`."
        )
