"""Builds the agents' inputs and runs their network: one step to act, whole episodes to train.

Input of agent i at step t: its observation, then its last action if `obs_last_action` (zero at
t=0), then its index if `obs_agent_id`. With `obs_mode: joint` the observation is every agent's, its
own first: the control that gives any method what an action graph sees, without the graph
(`iql_joint`, `vdn_joint`, `qmix_joint`). Agents that take no part are seen as zeros.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from components.episode_batch import EpisodeBatch, as_floats
from components.policies import policy_maker
from components.settings import AgentSettings
from envs.base import EnvInfo, EnvStep
from modules.agents.base import AgentInputs, AgentSizes
from utils.errors import UserError
from utils.registry import AGENTS, CONTROLLERS
from utils.seeding import seeded_initialisation

Select = Callable[[Tensor, Tensor], Tensor]  # outputs and avail [B, M, A] -> actions [B, M]


@dataclass(frozen=True)
class BasicControllerConfig:
    """Settings of `basic_controller`."""

    obs_mode: Literal["own", "joint"] = "own"  # joint: every agent's observation, own first


@CONTROLLERS.register("basic_controller", config=BasicControllerConfig)
class BasicController:
    """One network for all agents.

    Args:
        config: settings.
        shared: settings of every method's agents.
        info: the environment's sizes.
        agent: name of the agent network, and its settings.
        device: where tensors live.
        seed: the run's root seed, for the initial weights.
    """

    noise_dim = 0  # K, size of the common noise in EpisodeBatch.noise
    gives: ClassVar[str] = "outputs of each agent"  # what a learner gets, which says what they mean
    needs_features: ClassVar[bool] = False  # whether its agent must have `features`
    in_order: ClassVar[bool] = False  # whether its agent must be one that chooses in order
    needs_team_reward: ClassVar[bool] = False  # true: rejects individual rewards
    acts_continuously: ClassVar[bool] = (
        True  # whether actions may be continuous, if the learner can
    )

    def __init__(
        self,
        config: BasicControllerConfig,
        shared: AgentSettings,
        info: EnvInfo,
        agent: tuple[str, Any],
        device: torch.device,
        seed: int,
    ):
        self.config, self.shared, self.info, self.device = config, shared, info, device
        self.seed = seed
        n = info.n_agents
        input_dim = info.obs_dim * (n if config.obs_mode == "joint" else 1) + self.noise_dim
        input_dim += info.n_actions * shared.obs_last_action + n * shared.obs_agent_id
        self.input_dim = input_dim  # F, of each agent
        self.policy = policy_maker(info, device)  # makes outputs the agents' policies
        self._ids = torch.eye(n, device=device)
        # Row i lists the agents as agent i sees them: itself first, then the others in order.
        order = [[i] + [j for j in range(n) if j != i] for i in range(n)]
        self._own_first = torch.tensor(order, device=device)
        self.agent_name, agent_settings = agent
        with seeded_initialisation(seed, "weights", "agent"):
            sizes = AgentSizes.of(info, input_dim, shared)
            self.agent = self.build_network(AGENTS.get(self.agent_name).cls(agent_settings, sizes))
        self.n_outputs = info.n_actions * sizes.outputs_per_action  # of each agent
        self.agent.to(device)

    def build_network(self, agent: nn.Module) -> nn.Module:
        """The acting network, made of the agent network; a subclass may add to it."""
        return agent

    def act(
        self,
        step: EnvStep,
        last_actions: Tensor | None,
        noise: Tensor | None,
        hidden: Tensor | None,
    ) -> tuple[Tensor, Tensor | None]:
        """The network's outputs for one step of B environments.

        Args:
            step: what the environments show.
            last_actions: [B, N], None at an episode's first step.
            noise: [B, N, K] or None.
            hidden: the network's memory, None at an episode's first step.

        Returns:
            outputs [B, N, A] ([B, N, 2 A] of continuous policies) and the new memory.
        """
        inputs = self.step_inputs(step, last_actions, noise)
        outputs, hidden = self._run(self.agent, inputs, hidden)
        return outputs.squeeze(1), hidden

    def choose(
        self,
        step: EnvStep,
        last_actions: Tensor | None,
        noise: Tensor | None,
        hidden: Tensor | None,
        select: Select,
        greedy: bool,
    ) -> tuple[Tensor, Tensor | None]:
        """Actions for one step of B environments: here all agents at once.

        Args:
            step: what the environments show.
            last_actions: [B, N], None at an episode's first step.
            noise: [B, N, K] or None.
            hidden: the network's memory, None at an episode's first step.
            select: makes outputs and available actions [B, M, A] of M agents their actions [B, M].
            greedy: whether `select` is greedy, as in a test.

        Returns:
            actions [B, N] and the new memory.
        """
        del greedy
        outputs, hidden = self.act(step, last_actions, noise, hidden)
        return select(outputs, step.avail), hidden

    def outputs(self, batch: EpisodeBatch, n_steps: int, agent: nn.Module | None = None) -> Tensor:
        """The network's outputs for the first L = `n_steps` steps of whole episodes.

        Args:
            batch: B episodes.
            n_steps: L, at most T+1.
            agent: another network of the same form, such as the target network.

        Returns:
            [B, L, N, A]
        """
        return self._run(agent or self.agent, self.agent_inputs(batch, n_steps), None)[0]

    def _run(
        self, agent: nn.Module, inputs: AgentInputs, hidden: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """What the network returns: outputs [B, L, N, A] and its memory.

        Raises:
            UserError: if it returns something else.
        """
        returned = agent(inputs, hidden)
        expected = (*inputs.x.shape[:3], self.n_outputs)
        if isinstance(returned, tuple) and len(returned) == 2:
            outputs, memory = returned
            if isinstance(outputs, Tensor) and outputs.shape == expected:
                return outputs, memory
        pair = returned if isinstance(returned, tuple) else (returned,)
        shapes = [list(part.shape) if isinstance(part, Tensor) else part for part in pair]
        raise UserError(
            f"agent={self.agent_name}: forward must return outputs [B, L, N, A]={list(expected)} "
            f"and its memory or None, but returned {', '.join(map(str, shapes))}."
        )

    def step_inputs(
        self, step: EnvStep, last_actions: Tensor | None, noise: Tensor | None
    ) -> AgentInputs:
        """The network's inputs for one step, L=1; arguments as `act`."""
        last = None
        if self.shared.obs_last_action and last_actions is not None:
            last = self.as_vectors(last_actions).unsqueeze(1)
        is_active = _unsqueeze(step.is_active)
        x = self._build(step.obs.unsqueeze(1), last, _unsqueeze(noise), is_active)
        features = _unsqueeze(step.action_features)
        return AgentInputs(x, step.avail.unsqueeze(1), features, is_active)

    def agent_inputs(self, batch: EpisodeBatch, n_steps: int) -> AgentInputs:
        """The network's inputs for the first `n_steps` steps of whole episodes."""

        def first_steps(x: Tensor | None) -> Tensor | None:
            return None if x is None else x[:, :n_steps]

        last = None
        if self.shared.obs_last_action and n_steps > 1:
            taken = self.as_vectors(batch.actions[:, : n_steps - 1])  # [B, L-1, N, A]
            last = functional.pad(taken, (0, 0, 0, 0, 1, 0))  # [B, L, N, A], zero at t=0
        is_active = first_steps(batch.is_active)
        x = self._build(batch.obs[:, :n_steps], last, first_steps(batch.noise), is_active)
        return AgentInputs(
            x, batch.avail[:, :n_steps], first_steps(batch.action_features), is_active
        )

    def draw_noise(self, batch_size: int, generator: torch.Generator) -> Tensor | None:
        """Common noise for one step, [B, N, K]; None for controllers without it."""
        return None

    def _build(
        self,
        obs: Tensor,
        last_actions: Tensor | None,
        noise: Tensor | None,
        is_active: Tensor | None,
    ) -> Tensor:
        """obs: [B, L, N, O]; last_actions: [B, L, N, A]; noise: [B, L, N, K] -> [B, L, N, F]."""
        b, length, n = obs.shape[:3]
        obs = as_floats(obs)
        if self.config.obs_mode == "joint":
            if is_active is not None:
                obs = torch.where(is_active.unsqueeze(3), obs, 0.0)
            obs = obs[:, :, self._own_first].flatten(3)  # [B, L, N, N * O]
        parts = [obs]
        if self.shared.obs_last_action:
            if last_actions is None:
                last_actions = obs.new_zeros(b, length, n, self.info.n_actions)
            parts.append(last_actions)
        if self.shared.obs_agent_id:
            parts.append(self._ids.expand(b, length, n, n))
        if noise is not None:
            parts.append(noise)
        return torch.cat(parts, dim=-1) if len(parts) > 1 else obs

    def as_vectors(self, actions: Tensor) -> Tensor:
        """Actions as inputs, [..., A]: one-hot, or the numbers of continuous ones."""
        return actions if self.info.is_continuous else self._one_hot(actions)

    def _one_hot(self, actions: Tensor) -> Tensor:
        return functional.one_hot(actions, self.info.n_actions).float()


def one_by_one(select: Select, avail: Tensor) -> Callable[[int, Tensor], Tensor]:
    """From an agent's index and its outputs [B, A] to its actions [B]; avail: [B, N, A]."""

    def pick(i: int, outputs: Tensor) -> Tensor:
        return select(outputs.unsqueeze(1), avail[:, i : i + 1]).squeeze(1)

    return pick


def _unsqueeze(x: Tensor | None) -> Tensor | None:
    return None if x is None else x.unsqueeze(1)
