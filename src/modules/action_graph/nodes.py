"""Nodes of an action graph: which there are, and what they hold before any message is passed.

Source: Gupta et al., arXiv 2602.17009, Eq. 10 and 13. Every agent i and action a that i can ever
take make one node (i, a). Actions that an agent can never take make none: in simple_world_comm that
leaves 45 of 120. With `nodes: agents` there is one node per agent instead, the control that
isolates what *action* nodes are for.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from modules.agents.base import AgentSizes
from modules.layers import orthogonal_linear


@dataclass(frozen=True)
class NodeLayout:
    """Which node stands where; P nodes in the order (agent, action)."""

    n_agents: int  # N
    slots: int  # A, places per agent: actions, or 1 with one node per agent
    agent: tuple[int, ...]  # P, agent of each node
    action: tuple[int, ...]  # P, action of each node (0 with one node per agent)
    action_type: tuple[int, ...]  # P, equal numbers mean the same action

    @classmethod
    def build(
        cls, sizes: AgentSizes, per_action: bool = True, compact: bool = True
    ) -> "NodeLayout":
        """The layout of an environment's graph.

        Args:
            sizes: the environment's sizes.
            per_action: one node per (agent, action); false: one per agent.
            compact: leave out actions that an agent can never take.
        """
        n, a = sizes.n_agents, sizes.n_actions
        if not per_action:
            zeros = (0,) * n
            return cls(n, 1, tuple(range(n)), zeros, zeros)
        counts = sizes.action_counts if compact else (a,) * n
        pairs = [(i, j) for i in range(n) for j in range(counts[i])]
        types = sizes.action_types or (tuple(range(a)),) * n
        return cls(
            n,
            a,
            tuple(i for i, _ in pairs),
            tuple(j for _, j in pairs),
            tuple(types[i][j] for i, j in pairs),
        )

    @property
    def n_nodes(self) -> int:
        """P."""
        return len(self.agent)

    @property
    def is_dense(self) -> bool:
        """Every (agent, place) pair has a node, so that [P] can be viewed as [N, A]."""
        return self.n_nodes == self.n_agents * self.slots


class NodeMap(nn.Module):
    """Moves features between per-agent tensors [..., N, A, *] and the nodes [..., P, *]."""

    def __init__(self, layout: NodeLayout):
        super().__init__()
        self.layout = layout
        flat = [i * layout.slots + a for i, a in zip(layout.agent, layout.action, strict=True)]
        self.register_buffer("flat", torch.tensor(flat), persistent=False)
        self.flat: Tensor

    def gather(self, x: Tensor) -> Tensor:
        """x: [R, N, A, F] -> [R, P, F]."""
        rows = x.flatten(1, 2)
        return rows if self.layout.is_dense else rows.index_select(1, self.flat)

    def scatter(self, x: Tensor) -> Tensor:
        """x: [R, P, F] -> [R, N, A, F], zero where there is no node."""
        n, a = self.layout.n_agents, self.layout.slots
        if not self.layout.is_dense:
            x = x.new_zeros(x.shape[0], n * a, x.shape[2]).index_copy(1, self.flat, x)
        return x.unflatten(1, (n, a))


class NodeEncoder(nn.Module):
    """phi and the first projection: z_(i,a) = W_z ReLU(W_2 ReLU(W_o x_i + W_a[a] + W_f f_(i,a))).

    The first layer of an MLP on concat(x_i, onehot(a), f_(i,a)) is a sum of three terms; the first
    is computed once per agent instead of once per node.

    Args:
        node_map: which nodes there are.
        input_dim: F of the agents' inputs; 0: nodes hold features alone (W_f f_(i,a) + b instead of
            the sum), so that no weight depends on the number of agents or actions.
        action_feature_dim: F' of the action features, 0 without.
        embed_dim: d, features of a node.
        encoder_dim: H, units of the first layer, whose terms are summed before the first ReLU.

    Shapes:
        x: [R, N, F];  action_features: [R, N, A, F'] or None;  out: [R, P, d]
    """

    def __init__(
        self,
        node_map: NodeMap,
        input_dim: int,
        action_feature_dim: int,
        embed_dim: int,
        encoder_dim: int,
    ):
        super().__init__()
        layout = node_map.layout
        self.node_map = node_map
        gain = 2**0.5
        self.from_input = orthogonal_linear(input_dim, encoder_dim, gain) if input_dim else None
        self.action_embedding = (
            nn.Embedding(layout.slots, encoder_dim) if layout.slots > 1 and input_dim else None
        )
        if self.action_embedding is not None:  # as the columns of a linear layer on a one-hot
            nn.init.uniform_(
                self.action_embedding.weight, -(layout.slots**-0.5), layout.slots**-0.5
            )
        self.from_features = (
            nn.Linear(action_feature_dim, encoder_dim, bias=not input_dim)
            if action_feature_dim and layout.slots > 1
            else None
        )
        self.second = orthogonal_linear(encoder_dim, embed_dim, gain)
        self.project = orthogonal_linear(embed_dim, embed_dim, gain)

    def forward(self, x: Tensor, action_features: Tensor | None) -> Tensor:
        """See the class."""
        terms = []
        if self.from_input is not None:
            terms.append(self.from_input(x).unsqueeze(2))  # [R, N, 1, H]
        if self.action_embedding is not None:
            terms.append(self.action_embedding.weight)  # [A, H]
        if self.from_features is not None and action_features is not None:
            terms.append(self.from_features(action_features))  # [R, N, A, H]
        e = functional.relu(self.node_map.gather(sum(terms[1:], terms[0])))  # [R, P, H]
        return self.project(functional.relu(self.second(e)))
