"""Values of joint actions that no greedy play has to maximise: training only, unrestricted.

`JointValue` is QTRAN's (Son et al., arXiv 1905.05408), `UnrestrictedMixer` that of weighted QMIX
(Rashid et al., arXiv 2006.10800). Both are as in the authors' later public code.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from modules.layers import mlp
from utils.shapes import check


class JointValue(nn.Module):
    """Q(s, u) from the sum of the agents' encoded features and actions, and V(s).

    Args:
        feature_dim: H, features of an agent.
        n_actions: A.
        state_dim: S.
        hidden_dim: units of the hidden layers of Q and V.

    Shapes:
        state: [B, T, S];  features: [B, T, N, H];  actions: [B, T, N] int64
        is_active: [B, T, N] bool or None;  out: [B, T, 1]
    """

    def __init__(self, feature_dim: int, n_actions: int, state_dim: int, hidden_dim: int):
        super().__init__()
        e, h = feature_dim + n_actions, hidden_dim
        self.n_actions = n_actions
        self.encoder = mlp(e, e, e)
        self.joint = mlp(state_dim + e, h, h, 1)
        self.state_value = mlp(state_dim, h, h, 1)

    def forward(
        self, state: Tensor, features: Tensor, actions: Tensor, is_active: Tensor | None = None
    ) -> Tensor:
        """Q(s, u); agents that take no part are left out of the sum."""
        sizes = check(state, "B T S")
        check(features, "B T N H", sizes)
        check(actions, "B T N", sizes)
        one_hot = functional.one_hot(actions, self.n_actions).to(features.dtype)
        encoded = self.encoder(torch.cat([features, one_hot], dim=-1))  # [B, T, N, H + A]
        if is_active is not None:
            encoded = torch.where(is_active.unsqueeze(3), encoded, 0.0)
        value: Tensor = self.joint(torch.cat([state, encoded.sum(dim=2)], dim=-1))
        return value


class UnrestrictedMixer(nn.Module):
    """Q*(s, u) = f(s, q_1..q_N) + V(s), where f need not be monotone in any q_i.

    Args:
        n_agents: N.
        state_dim: S.
        hidden_dim: units of the hidden layers.

    Shapes:
        q_taken: [B, T, N];  state: [B, T, S];  out: [B, T, 1]
    """

    def __init__(self, n_agents: int, state_dim: int, hidden_dim: int):
        super().__init__()
        h = hidden_dim
        self.mix = mlp(state_dim + n_agents, h, h, h, 1)
        self.state_value = mlp(state_dim, h, 1)

    def forward(self, q_taken: Tensor, state: Tensor) -> Tensor:
        """The value of the joint action taken."""
        sizes = check(q_taken, "B T N")
        check(state, "B T S", sizes)
        value: Tensor = self.mix(torch.cat([state, q_taken], dim=-1)) + self.state_value(state)
        return value
