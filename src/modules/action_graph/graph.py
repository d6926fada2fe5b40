"""The action graph: from the agents' inputs to their coordination contexts.

Source: Gupta et al., arXiv 2602.17009, Eq. 13-15 and algorithm 2. Departures, each a switch: layers
are residual with a norm in front, and another norm follows the last (`residual`, `layernorm`);
attention has value and output projections (`project_values`). Eq. 14 as printed has none of these
(preset `agp_literal`). The last output projection follows pooling where pooling is a mean, which is
the same function for fewer products. Weights start orthogonal, so that what an agent sees reaches
the others at full strength (docs/results/particle_tasks.md).
"""

from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from modules.action_graph.attention import DotAttention, GATAttention, make_attention
from modules.action_graph.edges import EdgeSet, allowed_edges, edge_mask
from modules.action_graph.nodes import NodeEncoder, NodeLayout, NodeMap
from modules.agents.base import AgentSizes
from utils.errors import LARGEST_LAYER, outside, refuse


@dataclass(frozen=True)
class ActionGraphConfig:
    """Settings of the action graph (key `graph` of `agp_agent`)."""

    enabled: bool = True  # false: every coordination context is zero (the paper's ablation 2)
    nodes: Literal["actions", "agents"] = "actions"  # agents: one node per agent, the control
    compact: bool = True  # leave out nodes of actions that an agent can never take
    embed_dim: int = 64  # d, features of a node; divisible by heads
    layers: int = 2  # L, rounds of message passing
    heads: int = 4  # attention heads
    attention: Literal["dot", "gat", "gatv2"] = "dot"  # form of the attention
    edges: EdgeSet = "full"  # who attends to whom; within_agent is the paper's ablation 1
    residual: bool = True  # add a layer's message to its input; false replaces the input
    layernorm: Literal["pre", "none"] = (
        "pre"  # pre: normalise what the attention reads and what the head reads
    )
    project_values: bool = True  # false: messages are averages of the nodes themselves (Eq. 14)
    ffn: bool = False  # a feed-forward block (2d wide) after each attention
    pool: Literal["mean", "sum", "max"] = "mean"  # over an agent's available action nodes

    def __post_init__(self) -> None:
        refuse(
            *outside(self, 1, LARGEST_LAYER, "embed_dim", "heads"),
            *outside(self, 0, 100, "layers"),
            (
                self.heads >= 1 and self.embed_dim % self.heads != 0,
                "heads",
                f"{self.heads} heads do not divide embed_dim={self.embed_dim}.",
            ),
        )


class GraphLayer(nn.Module):
    """One round of message passing.

    Shapes:
        z: [R, P, d];  allowed: [R, P, P] bool or None;  out: [R, P, d]
    """

    attention: DotAttention | GATAttention

    def __init__(self, config: ActionGraphConfig, last: bool):
        super().__init__()
        d = config.embed_dim
        self.residual = config.residual
        self.norm = _norm(config)
        self.attention = make_attention(
            config.attention, d, config.heads, config.project_values, last
        )
        self.ffn = (
            nn.Sequential(nn.LayerNorm(d), nn.Linear(d, 2 * d), nn.ReLU(), nn.Linear(2 * d, d))
            if config.ffn
            else None
        )

    def forward(self, z: Tensor, allowed: Tensor | None) -> Tensor:
        """See the class."""
        return self.finish(z, self.attention(self.norm(z), allowed))

    def finish(self, z: Tensor, messages: Tensor) -> Tensor:
        """What follows the exchange of messages; works node by node. z, messages: [..., d]."""
        out = self.attention.output(messages)
        z = z + out if self.residual else out
        return z if self.ffn is None else z + self.ffn(z)


@dataclass(slots=True)
class GraphOutput:
    """What the graph found out."""

    context: Tensor  # [R, N, d], each agent's coordination context kappa_i
    nodes: Tensor | None  # [R, N, A, d], h_(i,a), where the head needs them
    attention: list[Tensor] | None  # per layer [R, heads, P, P], where asked for


class ActionGraph(nn.Module):
    """Encoder, message passing and pooling.

    Args:
        config: see `ActionGraphConfig`.
        sizes: the environment's sizes.
        input_dim: features of the agents' inputs to the encoder.
        keep_nodes: also return the nodes' features.

    Shapes:
        x: [R, N, F];  avail: [R, N, A] bool;  action_features: [R, N, A, F'];  is_active: [R, N]
            bool
    """

    def __init__(
        self, config: ActionGraphConfig, sizes: AgentSizes, input_dim: int, keep_nodes: bool
    ):
        super().__init__()
        self.config, self.keep_nodes = config, keep_nodes
        self.layout = NodeLayout.build(sizes, config.nodes == "actions", config.compact)
        self.node_map = NodeMap(self.layout)
        self.encoder = NodeEncoder(
            self.node_map, input_dim, sizes.action_feature_dim, config.embed_dim
        )
        self.layers = nn.ModuleList(
            GraphLayer(config, last=i == config.layers - 1) for i in range(config.layers)
        )
        self.norm = _norm(config)
        self.register_buffer("edges", edge_mask(self.layout, config.edges), persistent=False)
        self.edges: Tensor | None
        every_node_real = self.layout.n_nodes == sum(sizes.action_counts)
        self.always_available = not (sizes.dynamic_avail or sizes.varying_team) and (
            config.nodes == "agents" or every_node_real
        )
        self.pool_early = (
            config.pool == "mean" and not config.ffn and not keep_nodes and config.layers > 0
        )

    def forward(
        self,
        x: Tensor,
        avail: Tensor,
        action_features: Tensor | None = None,
        is_active: Tensor | None = None,
        return_attention: bool = False,
    ) -> GraphOutput:
        """See the class."""
        z = self.encoder(x, action_features)  # [R, P, d]
        node_avail = self._node_avail(avail, is_active)
        allowed = allowed_edges(self.edges, node_avail)
        attention: list[Tensor] | None = [] if return_attention else None
        layers = cast(list[GraphLayer], list(self.layers))
        for layer in layers[:-1] if self.pool_early else layers:
            if attention is not None:
                attention.append(layer.attention.weights(layer.norm(z), allowed))
            z = layer(z, allowed)
        if not self.pool_early:
            h = self.node_map.scatter(z)  # [R, N, A, d]
            context = self._normalised(self._pool(h, node_avail), node_avail)
            nodes = self.node_map.scatter(self.norm(z)) if self.keep_nodes else None
            return GraphOutput(context, nodes, attention)
        last = layers[-1]
        normed = last.norm(z)
        if attention is not None:
            attention.append(last.attention.weights(normed, allowed))
        messages = self._pool(
            self.node_map.scatter(last.attention(normed, allowed)), node_avail
        )  # [R, N, d]
        before = self._pool(self.node_map.scatter(z), node_avail) if last.residual else messages
        context = self._normalised(last.finish(before, messages), node_avail)
        return GraphOutput(context, None, attention)

    def _normalised(self, context: Tensor, node_avail: Tensor | None) -> Tensor:
        """Contexts [R, N, d] as heads read them; zero for an agent without available action."""
        context = self.norm(context)
        if node_avail is None:
            return context
        some = self.node_map.scatter(node_avail.unsqueeze(2)).any(dim=2)  # [R, N, 1]
        return torch.where(some, context, 0.0)

    def _node_avail(self, avail: Tensor, is_active: Tensor | None) -> Tensor | None:
        """Which nodes count now: [R, P] bool, None if all always do."""
        if self.always_available:
            return None
        if self.config.nodes == "agents":
            avail = avail.any(dim=2, keepdim=True)  # [R, N, 1]
        if is_active is not None:
            avail = avail & is_active.unsqueeze(2)
        return self.node_map.gather(avail.unsqueeze(3)).squeeze(2)

    def _pool(self, h: Tensor, node_avail: Tensor | None) -> Tensor:
        """Pool an agent's available nodes; an agent without any gets zeros. -> [R, N, d]."""
        if h.shape[2] == 1 and node_avail is None:
            return h.squeeze(2)
        if node_avail is None and self.layout.is_dense:
            if self.config.pool == "mean":
                return h.mean(dim=2)
            return h.sum(dim=2) if self.config.pool == "sum" else h.amax(dim=2)
        if node_avail is None:
            node_avail = torch.ones(
                h.shape[0], self.layout.n_nodes, dtype=torch.bool, device=h.device
            )
        keep = self.node_map.scatter(node_avail.unsqueeze(2))  # [R, N, A, 1] bool
        if self.config.pool == "max":
            pooled = h.masked_fill(~keep, -torch.inf).amax(dim=2)
            return torch.where(keep.any(dim=2), pooled, 0.0)
        total = torch.where(keep, h, 0.0).sum(dim=2)  # [R, N, d]
        if self.config.pool == "sum":
            return total
        return total / keep.sum(dim=2).clamp(min=1)


def _norm(config: ActionGraphConfig) -> nn.Module:
    return nn.LayerNorm(config.embed_dim) if config.layernorm == "pre" else nn.Identity()


def empty_context(x: Tensor, embed_dim: int) -> Tensor:
    """The context of an agent without a graph: zeros [R, N, d] for x [R, N, F]."""
    return functional.pad(x[..., :0], (0, embed_dim))
