"""Critic of joint actions: each agent's values of its own actions, given those of the others.

Source: Foerster et al., arXiv 1705.08926 (COMA), section 4. Agent i's input is the state, what its
policy sees, and the one-hot actions of all *other* agents that take part. Departure: no last
actions, unless `obs_last_action` shows them to the policies too.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from modules.critics.base import Critic, CriticInputs, CriticSizes, MLPCriticConfig
from modules.initialisation import orthogonal_mlp
from utils.registry import CRITICS
from utils.shapes import check


@dataclass(frozen=True)
class JointQConfig(MLPCriticConfig):
    """Settings of `joint_q`."""


@CRITICS.register("joint_q", config=JointQConfig)
class JointQ(Critic):
    """Q_i(s, x_i, u_-i, .) = MLP(s, x_i, u_-i), the same weights for all agents.

    Shapes:
        inputs.state: [B, L, S];  inputs.own: [B, L, N, F];  inputs.actions: [B, L, N] int64
        out: [B, L, N, A]
    """

    estimates: ClassVar[str] = "values of actions"
    needs_state: ClassVar[bool] = True

    def __init__(self, config: JointQConfig, sizes: CriticSizes):
        super().__init__(config, sizes)
        self.n_values, self.n_actions = sizes.n_agents, sizes.n_actions
        n, a = sizes.n_agents, sizes.n_actions
        hidden = [sizes.hidden_dim] * config.hidden_layers
        self.network = orthogonal_mlp([sizes.state_dim + sizes.input_dim + n * a, *hidden, a])
        others = 1 - torch.eye(n).view(n, n, 1)
        self.others: Tensor
        self.register_buffer("others", others, persistent=False)

    def forward(self, inputs: CriticInputs) -> Tensor:
        """Values of each agent's actions, the others acting as `inputs.actions` says."""
        assert inputs.actions is not None
        b, length, n, _ = check(inputs.own, "B L N F").values()
        taken = functional.one_hot(inputs.actions, self.n_actions).float()  # [B, L, N, A]
        if inputs.is_active is not None:
            taken = taken * inputs.is_active.unsqueeze(3)
        others = (taken.unsqueeze(2) * self.others).flatten(3)  # [B, L, N, N * A], own part zero
        state = inputs.state.unsqueeze(2).expand(b, length, n, -1)
        values: Tensor = self.network(torch.cat([state, inputs.own, others], dim=3))
        return values
