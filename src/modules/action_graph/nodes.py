"""Nodes of an action graph: which there are, and what they hold before any message is passed.

Source: Gupta et al., arXiv 2602.17009, Eq. 10 and 13. Every agent i and action a that i can ever
take make one node (i, a). Actions that an agent can never take make none: in simple_world_comm that
leaves 45 of 120. Where actions are vectors of numbers, every (agent, number) pair makes one.

Departure: where an action is several choices there is one node per choice, unless `nodes: actions`
asks for the paper's: an agent that says one of 10 symbols and makes one of 5 moves has 15 nodes and
not 50. With `nodes: agents` there is one node per agent, the control that isolates what *action*
nodes are for.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from components.spaces import Box, Factored
from modules.agents.base import AgentSizes
from modules.choices import Choices
from modules.layers import orthogonal_linear

NodeKind = Literal["actions", "factors", "agents"]


def usual_nodes(sizes: AgentSizes) -> NodeKind:
    """One node per choice where some agent's action is several choices without features."""
    several = any(isinstance(space, Factored) for space in sizes.spaces)
    return "factors" if several and not sizes.action_feature_dim else "actions"


@dataclass(frozen=True)
class NodeLayout:
    """Which node stands where; P nodes in the order (agent, action).

    With one node per choice, `choices` says what they are, and "action" means choice below.
    """

    n_agents: int  # N
    slots: int  # A, places per agent: actions, choices, or 1 with one node per agent
    agent: tuple[int, ...]  # P, agent of each node
    action: tuple[int, ...]  # P, action of each node (0 with one node per agent)
    action_type: tuple[int, ...]  # P, equal numbers mean the same action
    choices: Choices | None = None

    @classmethod
    def build(
        cls, sizes: AgentSizes, kind: NodeKind = "actions", compact: bool = True
    ) -> "NodeLayout":
        """The layout of an environment's graph.

        Args:
            sizes: the environment's sizes.
            kind: one node per (agent, action), per (agent, factor, choice) or per agent.
            compact: leave out actions that an agent can never take.

        Raises:
            UserError: if no agent's actions have factors, and nodes are asked for them.
        """
        n, a = sizes.n_agents, sizes.n_actions
        if kind == "agents":
            zeros = (0,) * n
            return cls(n, 1, tuple(range(n)), zeros, zeros)
        choices = None
        if kind == "factors":
            choices = Choices.of(sizes.spaces, "nodes=factors")
            types, a = choices.types, choices.made.shape[1]
            counts = tuple(map(len, types))
        else:
            types = sizes.action_types or (tuple(range(a)),) * n
            counts = sizes.action_counts if compact else (a,) * n
        pairs = [(i, j) for i in range(n) for j in range(counts[i])]
        return cls(
            n,
            a,
            tuple(i for i, _ in pairs),
            tuple(j for _, j in pairs),
            tuple(types[i][j] for i, j in pairs),
            choices,
        )

    def choice_types(self) -> Tensor | None:
        """Types of each agent's choices, [N, C], zero behind its last; None without choices."""
        if self.choices is None:
            return None
        rows = [[*types, *[0] * (self.slots - len(types))] for types in self.choices.types]
        return torch.tensor(rows)

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
        made = None if layout.choices is None else layout.choices.made
        self.register_buffer("made", made, persistent=False)
        self.made: Tensor | None

    def available(self, avail: Tensor, is_active: Tensor | None) -> Tensor:
        """Which nodes count: those of agents that take part, and of something that is available.

        A choice is available if an available action makes it.

        Shapes:
            avail: [R, N, actions] bool;  is_active: [R, N] bool or None;  out: [R, P] bool
        """
        if self.made is not None:
            avail = torch.einsum("rna,nca->rnc", avail.to(self.made.dtype), self.made) > 0
        elif self.layout.slots == 1:
            avail = avail.any(dim=2, keepdim=True)  # [R, N, 1]
        if is_active is not None:
            avail = avail & is_active.unsqueeze(2)
        return self.gather(avail.unsqueeze(3)).squeeze(2)

    def over_time(self, avail: Tensor, is_active: Tensor | None) -> Tensor:
        """`available` for L steps: [B, L, N, actions] and [B, L, N] or None -> [B, L, P]."""
        active = None if is_active is None else is_active.flatten(0, 1)
        return self.available(avail.flatten(0, 1), active).unflatten(0, avail.shape[:2])

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


def bound_features(sizes: AgentSizes) -> Tensor | None:
    """Bounds of the agents' numbers as node features.

    Args:
        sizes: of the task.

    Returns:
        [N, A, 2], lower and upper bounds x as sign(x) log(1 + |x|), zeros behind an agent's last
        number. None where actions are no vectors of numbers, and where the bounds of a number are
        the same for all agents that have it: its embedding then says as much.
    """
    boxes = [space for space in sizes.spaces if isinstance(space, Box)]
    pairs = [set(enumerate(zip(box.low, box.high, strict=True))) for box in boxes]
    if len(set().union(*pairs)) == max(map(len, pairs), default=0):
        return None
    bounds = torch.zeros(sizes.n_agents, sizes.n_actions, 2)
    for i, box in enumerate(boxes):
        bounds[i, : box.size] = torch.tensor([box.low, box.high]).T
    return bounds.sign() * bounds.abs().log1p()


class NodeEncoder(nn.Module):
    """phi and the first projection: z_(i,a) = W_z ReLU(W_2 ReLU(W_o x_i + W_a[a] + W_f f_(i,a))).

    The first layer of an MLP on concat(x_i, onehot(a), f_(i,a)) is a sum of three terms; the first
    is computed once per agent instead of once per node. A fourth term, of the bounds of a node's
    number, is there where agents' numbers have different bounds.

    Args:
        node_map: which nodes there are.
        input_dim: F of the agents' inputs; 0: nodes hold features alone (W_f f_(i,a) + b instead of
            the sum), so that no weight depends on the number of agents or actions.
        action_feature_dim: F' of the action features, 0 without.
        embed_dim: d, features of a node.
        encoder_dim: H, units of the first layer, whose terms are summed before the first ReLU.
        bounds: of the agents' numbers as `bound_features` gives them, None: no term for them.

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
        bounds: Tensor | None = None,
    ):
        super().__init__()
        layout = node_map.layout
        self.node_map = node_map
        gain = 2**0.5
        self.from_input = orthogonal_linear(input_dim, encoder_dim, gain) if input_dim else None
        self.action_embedding: nn.Embedding | None = None
        kinds = layout.choice_types()  # [N, C], None without choices
        self.register_buffer("kinds", kinds, persistent=False)
        self.kinds: Tensor | None
        if layout.slots > 1 and input_dim:
            n_kinds = layout.slots if kinds is None else int(kinds.max()) + 1
            self.action_embedding = nn.Embedding(n_kinds, encoder_dim)
            bound = n_kinds**-0.5  # as the columns of a linear layer on a one-hot
            nn.init.uniform_(self.action_embedding.weight, -bound, bound)
        self.from_features = (
            nn.Linear(action_feature_dim, encoder_dim, bias=not input_dim)
            if action_feature_dim and layout.slots > 1
            else None
        )
        self.register_buffer("bounds", bounds, persistent=False)
        self.bounds: Tensor | None
        self.from_bounds = None if bounds is None else nn.Linear(2, encoder_dim, bias=False)
        self.second = orthogonal_linear(encoder_dim, embed_dim, gain)
        self.project = orthogonal_linear(embed_dim, embed_dim, gain)

    def forward(self, x: Tensor, action_features: Tensor | None) -> Tensor:
        """Features of every node, from inputs and action features of the agents."""
        terms = []
        if self.from_input is not None:
            terms.append(self.from_input(x).unsqueeze(2))  # [R, N, 1, H]
        if self.action_embedding is not None:
            embedded = self.action_embedding.weight  # [A, H], [N, A, H] where nodes are choices
            terms.append(embedded if self.kinds is None else embedded[self.kinds])
        if self.from_features is not None and action_features is not None:
            terms.append(self.from_features(action_features))  # [R, N, A, H]
        if self.from_bounds is not None:
            terms.append(self.from_bounds(self.bounds))  # [N, A, H]
        e = functional.relu(self.node_map.gather(sum(terms[1:], terms[0])))  # [R, P, H]
        return self.project(functional.relu(self.second(e)))
