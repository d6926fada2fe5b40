"""The action graph: from the agents' inputs to their coordination contexts.

Source: Gupta et al., arXiv 2602.17009, Eq. 13-15 and algorithm 2. Departures, each a switch: layers
are residual with a norm in front, and another norm follows the last (`residual`, `layernorm`);
attention has value and output projections (`project_values`). Eq. 14 as printed has none of these
(preset `agp_literal`). The last output projection follows pooling where pooling is a mean, which is
the same function for fewer products. Weights start orthogonal, so that what an agent sees reaches
the others at full strength (docs/results/particle_tasks.md).
"""

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from modules.action_graph.axial import AxialEdges, AxialLayer
from modules.action_graph.edges import allowed_edges, edge_mask, relations
from modules.action_graph.layer import ActionGraphConfig, GraphLayer, node_norm
from modules.action_graph.nodes import NodeEncoder, NodeLayout, NodeMap, bound_features
from modules.agents.base import AgentSizes
from modules.layers import CustomInitialisation, ScaledLearningRate
from utils.errors import UserError


@dataclass(slots=True)
class GraphOutput:
    """Output of the action graph."""

    context: Tensor  # [R, N, d], each agent's coordination context kappa_i
    nodes: Tensor | None  # [R, N, A, d], h_(i,a), where the head needs them
    attention: list[Tensor] | None  # per exchange [R, heads, P, P], where asked for


class ActionGraph(CustomInitialisation, ScaledLearningRate, nn.Module):
    """Encoder, message passing and pooling.

    Args:
        config: see `ActionGraphConfig`.
        sizes: the environment's sizes.
        input_dim: features of the agents' inputs to the encoder.
        keep_nodes: also return the nodes' features.

    Raises:
        UserError: if nodes cannot hold what the environment gives, or it does not give what they
            hold.

    Shapes:
        x: [R, N, F];  avail: [R, N, A] bool;  action_features: [R, N, A, F'];  is_active: [R, N]
            bool
    """

    def __init__(
        self, config: ActionGraphConfig, sizes: AgentSizes, input_dim: int, keep_nodes: bool
    ):
        super().__init__()
        if config.inputs == "features" and not sizes.action_feature_dim:
            raise UserError(
                "agent_args.graph.inputs=features needs an environment that describes its actions "
                "(action_features), and this one does not. Use assignment, capacity or formation, "
                "or agent_args.graph.inputs=all."
            )
        nodes = config.nodes_for(sizes)
        if nodes == "factors" and sizes.action_feature_dim:
            raise UserError(
                "nodes=factors has no place for action features, which describe whole actions, and "
                "this environment gives them. Use nodes=actions."
            )
        self.config, self.keep_nodes = config, keep_nodes
        self.lr_factor = config.lr_factor
        self.layout = NodeLayout.build(sizes, nodes, config.compact)
        self.node_map = NodeMap(self.layout)
        self.encoder = NodeEncoder(
            self.node_map,
            input_dim if config.inputs == "all" else 0,
            sizes.action_feature_dim,
            config.embed_dim,
            config.encoder_dim or config.embed_dim,
            bound_features(sizes) if nodes != "agents" else None,
        )
        axial = config.edges == "axial"
        kinds = relations(self.layout) if config.relation_bias else None
        n_layers = min(config.layers, 1) if config.tied else config.layers
        self.layers = nn.ModuleList(
            AxialLayer(config, self.node_map)
            if axial
            else GraphLayer(config, last=i == n_layers - 1, relations=kinds)
            for i in range(n_layers)
        )
        self.norm = node_norm(config)
        edges = None if config.edges == "axial" else edge_mask(self.layout, config.edges)
        self.register_buffer("edges", edges, persistent=False)
        self.edges: Tensor | None
        every_node_real = self.layout.n_nodes == sum(sizes.action_counts)
        self.always_available = not (sizes.dynamic_avail or sizes.varying_team) and (
            nodes != "actions" or every_node_real
        )
        self.pool_early = (
            config.pool == "mean" and not (config.ffn or keep_nodes or axial) and config.layers > 0
        )

    @property
    def n_exchanges(self) -> int:
        """How many times nodes attend to each other, for `GraphOutput.attention`."""
        return self.config.layers * (2 if self.config.edges == "axial" else 1)

    def forward(
        self,
        x: Tensor,
        avail: Tensor,
        action_features: Tensor | None = None,
        is_active: Tensor | None = None,
        return_attention: bool = False,
    ) -> GraphOutput:
        """Encode the nodes, let them exchange messages, and pool them per agent."""
        z = self.encoder(x, action_features)  # [R, P, d]
        if self.config.inputs == "features" and action_features is not None:
            avail = (action_features != 0).any(dim=3)  # described actions exist
        node_avail = self._node_avail(avail, is_active)
        allowed: Any = (
            AxialEdges.of(self.node_map, node_avail, len(z))
            if self.config.edges == "axial"
            else allowed_edges(self.edges, node_avail)
        )
        attention: list[Tensor] | None = [] if return_attention else None
        layers = cast(list[GraphLayer], list(self.layers))
        rounds = layers * self.config.layers if self.config.tied else layers
        for layer in rounds[:-1] if self.pool_early else rounds:
            if attention is not None:
                attention += layer.weights(z, allowed)
            z = layer(z, allowed)
        if not self.pool_early:
            h = self.node_map.scatter(z)  # [R, N, A, d]
            context = self._normalised(self._pool(h, node_avail), node_avail)
            nodes = self.node_map.scatter(self.norm(z)) if self.keep_nodes else None
            return GraphOutput(context, nodes, attention)
        last = rounds[-1]
        if attention is not None:
            attention += last.weights(z, allowed)
        sent = last.attention(last.norm(z), allowed)
        messages = self._pool(self.node_map.scatter(sent), node_avail)  # [R, N, d]
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
        return self.node_map.available(avail, is_active)

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


def empty_context(x: Tensor, embed_dim: int) -> Tensor:
    """The context of an agent without a graph: zeros [R, N, d] for x [R, N, F]."""
    return functional.pad(x[..., :0], (0, embed_dim))
