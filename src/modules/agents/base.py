"""Inputs, outputs and interface of agent networks.

An agent network has one path, over sequences: `forward(inputs, hidden) -> (outputs [B, L, N, A],
hidden')`. Training passes all steps at once, acting passes L=1 and the hidden state it got back.
For truncated backpropagation, any window of steps, with the hidden state before it, gives the
outputs of those steps. A sequence may hold the ends of episodes: `AgentInputs.resets`. The contract
tests check both for every agent.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn

from components.settings import AgentSettings
from components.spaces import ActionSpace
from envs.base import EnvInfo


@dataclass(slots=True)
class AgentInputs:
    """Inputs of an agent network for L steps."""

    x: Tensor  # [B, L, N, F], observation, and id and last action if asked for
    avail: Tensor  # [B, L, N, A] bool
    action_features: Tensor | None = None  # [B, L, N, A, F']
    is_active: Tensor | None = None  # [B, L, N] bool
    actions: Tensor | None = None  # [B, L, N] int64, taken ones, for agents that choose in order
    resets: Tensor | None = None  # [B, L] bool, the memory is zero before such steps; None: nowhere
    encoded: Tensor | None = None  # [B, L, N, d], of `ChoosesInOrder.encode`, if it is known

    def window(self, start: int, stop: int) -> "AgentInputs":
        """Views of steps `start` to `stop - 1`."""

        def first_steps(x: Tensor | None) -> Tensor | None:
            return None if x is None else x[:, start:stop]

        return AgentInputs(
            self.x[:, start:stop],
            self.avail[:, start:stop],
            first_steps(self.action_features),
            first_steps(self.is_active),
            first_steps(self.actions),
            first_steps(self.resets),
            first_steps(self.encoded),
        )


@dataclass(frozen=True)
class AgentSizes:
    """Sizes for building an agent network: those of the task, width, memory."""

    input_dim: int  # F
    n_agents: int  # N
    n_actions: int  # A
    action_counts: tuple[int, ...]  # actions each agent really has
    action_types: tuple[tuple[int, ...], ...] | None = None  # [N][A], see EnvInfo
    action_feature_dim: int = 0  # F'
    dynamic_avail: bool = True  # availability changes from step to step
    varying_team: bool = False  # agents may be absent
    hidden_dim: int = 64  # H, of the hidden layers
    use_rnn: bool = False  # whether the network has a GRU
    spaces: tuple[ActionSpace, ...] = ()  # of each agent
    outputs_per_action: int = 1  # 2: mean and deviation of each number of continuous actions

    @property
    def n_outputs(self) -> int:
        """Numbers that the network gives for each agent."""
        return self.outputs_per_action * self.n_actions

    @classmethod
    def of(cls, info: EnvInfo, input_dim: int, shared: AgentSettings) -> "AgentSizes":
        """Sizes for an environment whose agents' inputs have `input_dim` features."""
        return cls(
            input_dim=input_dim,
            n_agents=info.n_agents,
            n_actions=info.n_actions,
            action_counts=info.action_counts,
            action_types=info.action_types,
            action_feature_dim=info.action_feature_dim,
            dynamic_avail=info.dynamic_avail,
            varying_team=info.varying_team,
            hidden_dim=shared.hidden_dim,
            use_rnn=shared.remembers(info.episode_limit),
            spaces=info.spaces,
            outputs_per_action=2 if info.is_continuous else 1,
        )


class AgentNetwork(Protocol):
    """The shape of an agent network."""

    def __call__(self, inputs: AgentInputs, hidden: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Outputs [B, L, N, n_outputs] and the next hidden state [B, N, H] or None."""
        ...


class ChoosesInOrder(Protocol):
    """An agent network whose agents know the actions of those before them."""

    encoded_dim: int  # d

    def encode(self, inputs: AgentInputs) -> Tensor:
        """Features of each agent, computed from all observations, [B, L, N, d]."""
        ...

    def choose(self, inputs: AgentInputs, pick: Callable[[int, Tensor], Tensor]) -> Tensor:
        """Actions [B, N] of one step; `pick` makes an agent's logits [B, A] its actions [B]."""
        ...


class HasFeatures(Protocol):
    """An agent network whose outputs are `last(features)`, for methods that need both.

    Agent i's features may depend on its own inputs only.
    """

    feature_dim: int  # H
    last: nn.Module  # [B, L, N, H] -> [B, L, N, A]

    def features(self, inputs: AgentInputs, hidden: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Features [B, L, N, H] and the next hidden state."""
        ...
