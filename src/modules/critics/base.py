"""Inputs, sizes and interface of critics."""

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from components.settings import AgentSettings
from envs.base import EnvInfo
from modules.agents.base import AgentSizes
from utils.errors import out_of_range, validate


@dataclass(slots=True)
class CriticInputs:
    """Inputs of critics, for L steps; each critic's docstring says what it reads."""

    state: Tensor  # [B, L, S]
    own: Tensor  # [B, L, N, F], what each agent's policy sees: observation, id, last action
    actions: Tensor | None = None  # [B, L, N] int64, of all agents; for values of actions
    is_active: Tensor | None = None  # [B, L, N] bool, true for agents that take part
    joint_actions: Tensor | None = None  # [B, L, N, N, A], for values of joint actions: row i has
    # the actions of all agents as vectors, for the value of agent i
    encoded: Tensor | None = None  # [B, L, N, d], by the policies' encoder, if it reads that
    avail: Tensor | None = None  # [B, L, N, A] bool, actions that are available
    action_features: Tensor | None = None  # [B, L, N, A, F'], what the actions are


@dataclass(frozen=True)
class MLPCriticConfig:
    """Settings of critics that are one network of linear layers."""

    hidden_layers: int = 2  # hidden layers of `hidden_dim` units, at least 1

    def __post_init__(self) -> None:
        validate(*out_of_range(self, 1, 100, "hidden_layers"))


@dataclass(frozen=True)
class CriticSizes:
    """Sizes for building a critic."""

    input_dim: int  # F
    state_dim: int  # S
    n_agents: int  # N
    n_actions: int  # A
    hidden_dim: int  # H, units of the hidden layers
    n_rewards: int  # R: 1 for a team, N if rewards are individual
    encoded_dim: int = 0  # d, features of the policies' encoder; 0: they have none
    agents: AgentSizes | None = None  # sizes of the agents' networks, for critics with a graph

    @classmethod
    def of(
        cls,
        info: EnvInfo,
        input_dim: int,
        hidden_dim: int,
        individual: bool,
        encoded_dim: int,
    ) -> "CriticSizes":
        """Sizes for an environment whose agents' inputs have `input_dim` features."""
        n, n_rewards = info.n_agents, info.n_agents if individual else 1
        return cls(
            input_dim,
            info.state_dim,
            n,
            info.n_actions,
            hidden_dim,
            n_rewards,
            encoded_dim=encoded_dim,
            agents=AgentSizes.of(info, input_dim, AgentSettings(hidden_dim=hidden_dim)),
        )


class Critic(nn.Module):
    """Estimates values for training only.

    Args:
        config: settings of the component.
        sizes: sizes of the task.
    """

    estimates: ClassVar[str]  # what its numbers are, see `Learner.critic_estimates`
    needs_state: ClassVar[bool] = False  # true: of no use without a state
    needs_encoder: ClassVar[bool] = False  # true: of no use without an encoder of the policies
    n_values: int  # columns of values of states: 1 for the team, or N

    def __init__(self, config: Any, sizes: CriticSizes):
        super().__init__()
        del config, sizes

    def forward(self, inputs: CriticInputs) -> Tensor:
        """Values of states [B, L, n_values], actions [B, L, N, A] or joint actions [B, L, N]."""
        raise NotImplementedError
