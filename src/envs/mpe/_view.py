"""The learners' view of a world under some settings: sizes, observations, actions.

A trained opponent observes the world through the view of its training.
"""

import torch
from torch import Tensor

from envs.base import EnvInfo, EnvStep
from envs.mpe._actions import describe_actions
from envs.mpe._config import MpeConfig
from envs.mpe._entities import Agent
from envs.mpe._observation_layout import ObservationGather, Rows, padded
from envs.mpe._scenario import Scenario
from envs.mpe._world import World


class View:
    """The learners' view of B worlds.

    Args:
        config: says who learns.
        scenario: of the worlds.
        world: B worlds of it.

    Attributes:
        learners: the N agents whose view it is, among all agents of the scenario.
        info: their sizes.
        avail: [B, N, A] bool
        no_reward: [B, N], zeros.
        never: [B] bool, false.
    """

    def __init__(
        self,
        config: MpeConfig,
        scenario: Scenario,
        world: World,
    ):
        batch_size, device = world.batch_size, world.device
        self.learners, _ = config.sides(scenario)
        observed = [world.observation_rows(i) for i in range(scenario.n_agents)]
        seen, agents = observed[self.learners], scenario.agents[self.learners]
        width = max(map(len, seen))
        rows: Rows = [row for one in seen for row in padded(one, width, world.layout.zero)]
        self._obs_shape = (batch_size, len(agents), width)
        self._gather_obs = ObservationGather(rows, device)
        self._gather_state: ObservationGather | None = None
        if config.state == "raw":
            self._gather_state = ObservationGather([row for one in observed for row in one], device)
        self.info = self._sizes(config, scenario, agents, tuple(map(len, seen)))
        counts = torch.tensor(self.info.action_counts).unsqueeze(1)
        avail = torch.arange(self.info.n_actions) < counts  # [N, A]
        self.avail = avail.to(device).expand(batch_size, -1, -1)
        self.no_reward = torch.zeros(batch_size, len(agents), device=device)
        self.never = torch.zeros(batch_size, dtype=torch.bool, device=device)

    def _sizes(
        self,
        config: MpeConfig,
        scenario: Scenario,
        agents: tuple[Agent, ...],
        obs_dims: tuple[int, ...],
    ) -> EnvInfo:
        actions = [describe_actions(agent, config.continuous_actions) for agent in agents]
        counts = tuple(own.space.size for own in actions)
        n_actions = max(counts)
        teams = scenario.teams if len(scenario.teams) > 1 else []
        metrics = {f"return_{team}": f"sum of the rewards of all {team}" for team in teams}
        return EnvInfo(
            n_agents=len(agents),
            n_actions=n_actions,
            obs_dim=max(obs_dims),
            state_dim=(self._gather_state or self._gather_obs).width,
            episode_limit=config.max_cycles,
            agent_names=tuple(agent.name for agent in agents),
            obs_dims=obs_dims,
            action_counts=counts,
            metric_descriptions=metrics | scenario.events | scenario.results,
            action_types=tuple(
                (*own.types, *[0] * (n_actions - len(own.types))) for own in actions
            ),
            action_names=tuple(own.names for own in actions),
            action_spaces=tuple(own.space for own in actions),
            dynamic_avail=False,
            fixed_length=True,
            computes_on_host=config.backend != "native",
            truncates=not config.legacy_drop_last,
            state_is_obs=self._gather_state is None,
        )

    def observe(self, table: Tensor, reward: Tensor | None = None) -> EnvStep:
        """The step that the learners observe within an episode.

        Args:
            table: [F, B], see `_observation_layout.py`.
            reward: [B, N], None for zeros.
        """
        obs = self._gather_obs.gather(table)  # [B, N * O]
        state = obs if self._gather_state is None else self._gather_state.gather(table)
        reward = self.no_reward if reward is None else reward
        return EnvStep(obs.view(self._obs_shape), state, self.avail, reward, self.never, self.never)
