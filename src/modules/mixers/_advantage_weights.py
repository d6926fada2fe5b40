"""Positive weights lambda_i(s, u) of the agents' advantages, for QPLEX and FOP.

Source: Wang et al., *QPLEX*, arXiv 2008.01062. With `heads` heads k,

    lambda_i(s, u) = sum_k |key_k(s)| sigmoid(agent_k,i(s)) sigmoid(action_k,i(s, u)) > 0

where key, agent and action are networks of one to three layers and u is the joint action.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from modules.layers import AgentwiseLinear

POSITIVE = 1e-10  # added to weights so that they cannot vanish


class AdvantageWeights(nn.Module):
    """lambda_i(s, u) of every agent.

    Args:
        n_agents: N.
        state_dim: S.
        n_actions: A.
        heads: number of heads.
        layers: layers of each network.
        hidden_dim: units of its hidden layers, with more than one.

    Shapes:
        state: [B, T, S];  actions: [B, T, N] int64;  is_active: [B, T, N] bool or None
        out: [B, T, N], above 0
    """

    def __init__(
        self,
        n_agents: int,
        state_dim: int,
        n_actions: int,
        heads: int,
        layers: int = 1,
        hidden_dim: int = 64,
    ):
        super().__init__()
        self.n_actions = n_actions
        form = (layers, hidden_dim)
        self.key = _HeadwiseMLP(heads, state_dim, 1, *form)
        self.agent = _HeadwiseMLP(heads, state_dim, n_agents, *form)
        self.action = _HeadwiseMLP(heads, state_dim + n_agents * n_actions, n_agents, *form)

    def explained(
        self, advantage: Tensor, state: Tensor, actions: Tensor, is_active: Tensor | None
    ) -> Tensor:
        """(lambda_i - 1) sg[A_i]: what turns a sum of w_i q_i into one of lambda_i A_i; [B, T, N].

        As in the authors' code no gradient goes through the advantages A_i [B, T, N]: the agents
        learn as in a weighted sum, and lambda_i alone explains what that leaves.
        """
        return (self(state, actions, is_active) - 1) * advantage.detach()

    def forward(self, state: Tensor, actions: Tensor, is_active: Tensor | None = None) -> Tensor:
        """Actions of agents that take no part are ignored."""
        one_hot = functional.one_hot(actions, self.n_actions).to(state.dtype)  # [B, T, N, A]
        if is_active is not None:
            one_hot = one_hot * is_active.unsqueeze(3)
        both = torch.cat([state, one_hot.flatten(2)], dim=-1)
        gates = torch.sigmoid(self.agent(state)) * torch.sigmoid(self.action(both))
        weights: Tensor = ((self.key(state).abs() + POSITIVE) * gates).sum(dim=2)
        return weights


class _HeadwiseMLP(nn.Module):
    """An MLP with ReLUs for each head: [B, T, F] -> [B, T, heads, F']."""

    def __init__(self, heads: int, fan_in: int, fan_out: int, layers: int, hidden_dim: int):
        super().__init__()
        widths = [hidden_dim] * (layers - 1) + [fan_out]
        self.heads = heads
        self.first = nn.Linear(fan_in, heads * widths[0])
        self.others = nn.ModuleList(
            AgentwiseLinear(heads, hidden_dim, width) for width in widths[1:]
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).unflatten(-1, (self.heads, -1))
        for layer in self.others:
            x = layer(functional.relu(x))
        return x
