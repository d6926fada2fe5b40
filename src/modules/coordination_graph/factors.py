"""Deep coordination graph: utilities of agents and pay-offs of pairs, from the agents' features.

Source: Boehmer, Kurin & Whiteson, *Deep Coordination Graphs*, ICML 2020, arXiv 1910.00091,
algorithms 1 and 2. With h_i the features of agent i's history,

    q(a) = (1/N) sum_i f_i(a_i) + (1/|E|) sum_ij f_ij(a_i, a_j)   [+ V(s)]
    f_i = U(h_i),   f_ij(a, b) = (F(h_i, h_j)[a, b] + F(h_j, h_i)[b, a]) / 2
    F[a, b] = sum_k u_k[a] v_k[b] with rank K, a whole A x A table without

U is the last layer of the agent network. Nothing here departs from the paper; how it is computed
does. The first layer of F is computed once per agent instead of twice per edge. Where it is the
only layer, F is a sum of a part of h_i and a part of h_j, and so is the pay-off: one table per
agent, g(h_i)[a, b] + g(h_j)[b, a].
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from modules.agents.base import AgentInputs, HasFeatures


@dataclass(slots=True)
class Factors:
    """The terms of joint values, divided by their number; `factors[:, 1:]` takes some steps."""

    utility: Tensor  # [B, L, N, A], f_i / N
    payoff: Tensor  # [B, L, E, A, A'], f_ij / |E|; A is the action of the edge's first agent
    edges: Tensor  # [2, E], first and second agent of each edge
    bias: Tensor | None = None  # [B, L, 1], V(s)

    def __getitem__(self, index: Any) -> Factors:
        """The same factors of some episodes or steps."""
        bias = None if self.bias is None else self.bias[index]
        return Factors(self.utility[index], self.payoff[index], self.edges, bias)

    def detach(self) -> Factors:
        """The same numbers without gradient."""
        bias = None if self.bias is None else self.bias.detach()
        return Factors(self.utility.detach(), self.payoff.detach(), self.edges, bias)

    def value(self, actions: Tensor) -> Tensor:
        """Values of joint actions: [B, L, N] -> [B, L, 1]."""
        own = self.utility.gather(3, actions.unsqueeze(3)).sum(dim=(2, 3))  # [B, L]
        first, second = actions[..., self.edges[0]], actions[..., self.edges[1]]
        pairs = (first * self.payoff.shape[-1] + second).unsqueeze(3)  # [B, L, E, 1]
        total = own + self.payoff.flatten(3).gather(3, pairs).sum(dim=(2, 3))
        return total.unsqueeze(2) if self.bias is None else total.unsqueeze(2) + self.bias


class PairPayoffs(nn.Module):
    """Symmetrised pay-offs of every edge.

    Args:
        feature_dim: H.
        n_actions: A.
        rank: K of the low-rank form; 0: whole tables.
        hidden_dim: units of a hidden layer; 0: none.

    Shapes:
        features: [B, L, N, H];  edges: [2, E];  out: [B, L, E, A, A']
    """

    def __init__(self, feature_dim: int, n_actions: int, rank: int, hidden_dim: int):
        super().__init__()
        self.n_actions, self.rank = n_actions, rank
        out = 2 * rank * n_actions if rank else n_actions**2
        self.first = nn.Linear(2 * feature_dim, hidden_dim or out)
        self.last = nn.Linear(hidden_dim, out) if hidden_dim else None

    def forward(self, features: Tensor, edges: Tensor) -> Tensor:
        """See the class."""
        a, (first, second) = self.n_actions, edges
        as_first, as_second = self.first.weight.chunk(2, dim=1)  # of the pair, [D, H] each
        if self.last is None and not self.rank:
            turned = as_second.unflatten(0, (a, a)).transpose(0, 1).flatten(0, 1)
            own = functional.linear(features, (as_first + turned) / 2, self.first.bias / 2)
            own = own.unflatten(3, (a, a))  # [B, L, N, A, A']
            return own[:, :, first] + own[:, :, second].transpose(3, 4)
        sender, receiver = torch.cat([first, second]), torch.cat([second, first])
        of_sender = functional.linear(features, as_first, self.first.bias)
        of_receiver = functional.linear(features, as_second)
        z = of_sender[:, :, sender] + of_receiver[:, :, receiver]  # [B, L, 2E, D]
        if self.last is not None:
            z = self.last(functional.relu(z))
        if self.rank:
            u, v = z.unflatten(3, (2, self.rank, a)).unbind(3)  # [B, L, 2E, K, A] each
            tables = u.transpose(3, 4) @ v
        else:
            tables = z.unflatten(3, (a, a))
        there, back = tables.chunk(2, dim=2)
        return (there + back.transpose(3, 4)) / 2


class CoordinationGraph(nn.Module):
    """An agent network with the pay-offs of its pairs.

    Args:
        agent: gives features, and utilities as its outputs.
        edges: [2, E].
        n_actions: A.
        rank: see `PairPayoffs`.
        hidden_dim: see `PairPayoffs`.
        state_value: V(s) of the duelling form, used in training only.

    Shapes:
        inputs.x: [B, L, N, F];  hidden: [B, N, H] or None;  factors as in `Factors`
    """

    edges: Tensor

    def __init__(
        self,
        agent: HasFeatures,
        edges: Tensor,
        n_actions: int,
        rank: int,
        hidden_dim: int,
        state_value: nn.Module | None,
    ):
        super().__init__()
        self.agent, self.state_value = agent, state_value
        self.payoffs: PairPayoffs | None = None
        if edges.shape[1]:
            self.payoffs = PairPayoffs(agent.feature_dim, n_actions, rank, hidden_dim)
        self.register_buffer("edges", edges, persistent=False)

    def forward(self, inputs: AgentInputs, hidden: Tensor | None) -> tuple[Factors, Tensor | None]:
        """Factors without V(s), and the next memory."""
        features, hidden = self.agent.features(inputs, hidden)  # [B, L, N, H]
        utility = self.agent.last(features)  # [B, L, N, A]
        n, a = utility.shape[2:]
        if self.payoffs is None:
            payoff = utility.new_empty(*utility.shape[:2], 0, a, a)
        else:
            payoff = self.payoffs(features, self.edges) / self.edges.shape[1]
        factors = Factors(utility / n, payoff, self.edges)
        return _without_absent(factors, inputs.is_active), hidden


def _without_absent(factors: Factors, is_active: Tensor | None) -> Factors:
    """Agents that take no part, and their edges, contribute nothing. is_active: [B, L, N]."""
    if is_active is None:
        return factors
    both = is_active[:, :, factors.edges].all(dim=2)  # [B, L, E]
    return replace(
        factors,
        utility=factors.utility * is_active.unsqueeze(3),
        payoff=factors.payoff * both[..., None, None],
    )
