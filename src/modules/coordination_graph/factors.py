"""Deep coordination graph: utilities of agents and pay-offs of pairs, from the agents' features.

Source: Boehmer, Kurin & Whiteson, *Deep Coordination Graphs*, ICML 2020, arXiv 1910.00091,
algorithms 1 and 2. With h_i the features of agent i's history,

    q(a) = (1/N) sum_i f_i(a_i) + (1/|E|) sum_ij f_ij(a_i, a_j)   [+ V(s)]
    f_i = U(h_i),   f_ij(a, b) = (F(h_i, h_j)[a, b] + F(h_j, h_i)[b, a]) / 2
    F[a, b] = sum_k u_k[a] v_k[b] with rank K, a whole A x A table without

U is the last layer of the agent network. Nothing here departs from the paper; how it is computed
does. The first layer of F is computed once per agent instead of twice per edge. Where it is the
only layer, F is a part of h_i plus a part of h_j. A pay-off is then g(h_i)[a, b] + g(h_j)[b, a]
with one table g per agent. Tables of edges are formed where all their entries are needed (by
inference), not where only those of the actions taken are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from modules.agents.base import AgentInputs, HasFeatures


@dataclass(slots=True)
class Factors:
    """The terms of joint values, divided by their number; `factors[:, 1:]` takes some steps.

    Edge e joins agents i, j = edges[:, e]; its pay-off is tables[p][a_i, a_j] + tables[q][a_j, a_i]
    with p, q = sides[:, e].
    """

    utility: Tensor  # [B, L, N, A], f_i / N
    tables: Tensor  # [B, L, D, A, A'], of agents (D = N) or of directed edges (D = 2E)
    edges: Tensor  # [2, E], first and second agent
    sides: Tensor  # [2, E], where in D
    is_edge: Tensor | None = None  # [B, L, E] bool, false where an agent is absent; None: all true
    bias: Tensor | None = None  # [B, L, 1], V(s)

    def __getitem__(self, index: Any) -> Factors:
        """The same factors of some episodes or steps."""
        every = (self.utility, self.tables, self.is_edge, self.bias)
        utility, tables, is_edge, bias = (None if x is None else x[index] for x in every)
        assert utility is not None
        assert tables is not None
        return Factors(utility, tables, self.edges, self.sides, is_edge, bias)

    def detach(self) -> Factors:
        """The same numbers without gradient."""
        bias = None if self.bias is None else self.bias.detach()
        utility, tables = self.utility.detach(), self.tables.detach()
        return Factors(utility, tables, self.edges, self.sides, self.is_edge, bias)

    def payoff(self) -> Tensor:
        """f_ij / |E|, [B, L, E, A, A']."""
        there, back = self.tables[:, :, self.sides[0]], self.tables[:, :, self.sides[1]]
        payoff = there + back.transpose(3, 4)
        return payoff if self.is_edge is None else payoff * self.is_edge[..., None, None]

    def value(self, actions: Tensor) -> Tensor:
        """Values of joint actions: [B, L, N] -> [B, L, 1]."""
        a = self.utility.shape[3]
        own = self.utility.gather(3, actions.unsqueeze(3)).sum(dim=2)  # [B, L, 1]
        first, second = actions[..., self.edges[0]], actions[..., self.edges[1]]  # [B, L, E]
        entries = torch.stack([first * a + second, second * a + first], dim=2)  # [B, L, 2, E]
        where = (self.sides * a * a + entries).flatten(2)  # [B, L, 2E]
        shares = self.tables.flatten(2).gather(2, where).unflatten(2, (2, -1))
        if self.is_edge is not None:
            shares = shares * self.is_edge.unsqueeze(2)
        total = own + shares.sum(dim=(2, 3)).unsqueeze(2)
        return total if self.bias is None else total + self.bias


class PairPayoffs(nn.Module):
    """Tables whose sums are the symmetrised pay-offs of every edge, divided by |E|.

    Args:
        feature_dim: H.
        n_actions: A.
        edges: [2, E].
        rank: K of the low-rank form; 0: whole tables.
        hidden_dim: units of a hidden layer; 0: none.

    Shapes:
        features: [B, L, N, H];  out: [B, L, D, A, A'], D = N or 2E; see `Factors`
    """

    edges: Tensor
    sides: Tensor

    def __init__(self, feature_dim: int, n_actions: int, edges: Tensor, rank: int, hidden_dim: int):
        super().__init__()
        self.n_actions, self.rank, self.n_edges = n_actions, rank, edges.shape[1]
        out = 2 * rank * n_actions if rank else n_actions**2
        self.first = nn.Linear(2 * feature_dim, hidden_dim or out)
        self.last = nn.Linear(hidden_dim, out) if hidden_dim else None
        self.per_agent = not (rank or hidden_dim)
        directed = torch.arange(2 * self.n_edges, device=edges.device).view(2, -1)
        self.register_buffer("edges", edges, persistent=False)
        self.register_buffer("sides", edges if self.per_agent else directed, persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """The tables of every agent or of every directed edge."""
        b, length, a = *features.shape[:2], self.n_actions
        features = features.flatten(0, 1)  # [R, N, H], R = B * L
        as_first, as_second = self.first.weight.chunk(2, dim=1)  # of the pair, [out, H] each
        scale = 1 / (2 * self.n_edges)
        if self.per_agent:
            turned = as_second.unflatten(0, (a, a)).transpose(0, 1).flatten(0, 1)
            weight, bias = scale * (as_first + turned), scale * self.first.bias
            return functional.linear(features, weight, bias).view(b, length, -1, a, a)
        of_sender = functional.linear(features, as_first, self.first.bias)
        of_receiver = functional.linear(features, as_second)
        there, back = self.edges.flatten(), self.edges.flip(0).flatten()  # [2E]
        z = of_sender[:, there] + of_receiver[:, back]  # [R, 2E, out]
        if self.last is not None:
            z = self.last(functional.relu(z))
        if self.rank:
            u, v = z.unflatten(2, (2, self.rank, a)).unbind(2)  # [R, 2E, K, A] each
            z = u.transpose(2, 3) @ v
        return scale * z.view(b, length, -1, a, a)


class CoordinationGraph(nn.Module):
    """An agent network and the pay-offs of its pairs.

    Args:
        agent: gives features, and utilities as its outputs.
        payoffs: None for a graph without edges.
        state_value: V(s) of the duelling form, which only training calls.

    Shapes:
        inputs.x: [B, L, N, F];  hidden: [B, N, H] or None;  factors: see `Factors`
    """

    def __init__(
        self, agent: HasFeatures, payoffs: PairPayoffs | None, state_value: nn.Module | None
    ):
        super().__init__()
        self.agent, self.payoffs, self.state_value = agent, payoffs, state_value

    def forward(self, inputs: AgentInputs, hidden: Tensor | None) -> tuple[Factors, Tensor | None]:
        """Factors without V(s), and the next memory; absent agents contribute nothing."""
        features, hidden = self.agent.features(inputs, hidden)  # [B, L, N, H]
        utility = self.agent.last(features)  # [B, L, N, A]
        utility = utility / utility.shape[2]
        if inputs.is_active is not None:
            utility = utility * inputs.is_active.unsqueeze(3)
        if self.payoffs is None:
            none = torch.empty(2, 0, dtype=torch.int64, device=utility.device)
            tables = utility.new_empty(*utility.shape[:2], 0, *utility.shape[-1:] * 2)
            return Factors(utility, tables, none, none), hidden
        edges, is_edge = self.payoffs.edges, None
        if inputs.is_active is not None:
            is_edge = inputs.is_active[:, :, edges].all(dim=2)  # [B, L, E]
        tables = self.payoffs(features)
        return Factors(utility, tables, edges, self.payoffs.sides, is_edge), hidden
