"""Critic of joint actions, one value for each agent, differentiable in the actions: MADDPG's.

Source: Lowe et al., arXiv 1706.02275. The state stands for the observations of all agents.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from modules.critics.base import Critic, CriticInputs, CriticSizes, MLPCriticConfig
from modules.layers import mlp
from utils.registry import CRITICS


@dataclass(frozen=True)
class JointActionValueConfig(MLPCriticConfig):
    """Settings of `joint_action_value`."""

    share_parameters: bool = True  # false: separate weights for each agent, as in the paper


@CRITICS.register("joint_action_value", config=JointActionValueConfig)
class JointActionValue(Critic):
    """Q_i(s, u_1..u_N) = MLP_i(s, u_1..u_N), or MLP(s, u_1..u_N, i) with shared weights.

    Shapes:
        inputs.state: [B, L, S];  inputs.joint_actions: [B, L, N, N, A]
        inputs.is_active: [B, L, N] bool or None;  out: [B, L, N]
    """

    estimates: ClassVar[str] = "values of joint actions"
    needs_state: ClassVar[bool] = True

    def __init__(self, config: JointActionValueConfig, sizes: CriticSizes):
        super().__init__(config, sizes)
        self.n_values = n = sizes.n_agents
        shared, hidden = config.share_parameters, [sizes.hidden_dim] * config.hidden_layers
        self.ids: Tensor  # by which shared weights distinguish agents
        self.register_buffer("ids", torch.eye(n, n if shared else 0), persistent=False)
        input_dim = sizes.state_dim + n * sizes.n_actions + self.ids.shape[1]
        self.network = mlp(input_dim, *hidden, 1, n_agents=None if shared else n)

    def forward(self, inputs: CriticInputs) -> Tensor:
        """Each agent's value of the joint action in its row."""
        actions = inputs.joint_actions
        assert actions is not None
        if inputs.is_active is not None:
            actions = torch.where(inputs.is_active[:, :, None, :, None], actions, 0.0)
        rows = actions.shape[:3]  # [B, L, N]
        parts = (inputs.state.unsqueeze(2).expand(*rows, -1), actions.flatten(3))
        values: Tensor = self.network(torch.cat([*parts, self.ids.expand(*rows, -1)], dim=3))
        return values.squeeze(3)
