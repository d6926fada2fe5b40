"""Settings of the action graph, and one round of message passing."""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from modules.action_graph.attention import DotAttention, GATAttention, make_attention
from modules.action_graph.edges import EdgeSet
from modules.action_graph.nodes import NodeKind, usual_nodes
from modules.agents.base import AgentSizes
from utils.errors import LARGEST_LAYER, out_of_range, validate


@dataclass(frozen=True)
class ActionGraphConfig:
    """Settings of the action graph (key `graph` of `agp_agent`)."""

    enabled: bool = True  # false: every coordination context is zero (the paper's ablation 2)
    nodes: NodeKind | Literal["auto"] = (
        "auto"  # actions: a node per action; factors: one per choice, where an action is several
        # choices; agents: one per agent, the control; auto: factors where possible, else actions
    )
    compact: bool = True  # leave out nodes of actions that an agent can never take
    embed_dim: int = 64  # d, features of a node; divisible by heads
    encoder_dim: int = 0  # units of the node encoder's first layer; 0: embed_dim
    layers: int = 2  # L, rounds of message passing
    tied: bool = False  # one layer's weights for all rounds; a trained graph may then do more
    heads: int = 4  # attention heads
    attention: Literal["dot", "gat", "gatv2"] = "dot"  # form of the attention
    inputs: Literal["all", "features"] = (
        "all"  # what nodes hold; features: action features alone, and nodes count where any is not
        # zero, available or not
    )
    edges: EdgeSet | Literal["axial"] = (
        "full"  # who attends to whom; within_agent is the paper's ablation 1; axial: own actions,
        # then the same action of every agent, each with its own weights
    )
    relation_bias: bool = False  # a learnt bias on attention per head and kind of edge
    residual: bool = True  # add a layer's message to its input; false replaces the input
    layernorm: Literal["pre", "none"] = (
        "pre"  # pre: normalise what the attention reads and what the head reads
    )
    project_values: bool = True  # false: messages are averages of the nodes themselves (Eq. 14)
    ffn: bool = False  # a feed-forward block (2d wide) after each attention
    pool: Literal["mean", "sum", "max"] = "mean"  # over an agent's available action nodes
    lr_factor: float = 1.0  # above 0: the graph's weights are trained with lr times this

    def __post_init__(self) -> None:
        validate(
            *out_of_range(self, 1, LARGEST_LAYER, "embed_dim", "heads"),
            *out_of_range(self, 0, LARGEST_LAYER, "encoder_dim"),
            *out_of_range(self, 0, 100, "layers"),
            (not 0 < self.lr_factor, "lr_factor", f"{self.lr_factor} must be above 0."),
            (
                self.heads >= 1 and self.embed_dim % self.heads != 0,
                "heads",
                f"{self.heads} heads do not divide embed_dim={self.embed_dim}.",
            ),
            (
                self.relation_bias and (self.attention != "dot" or not self.project_values),
                "relation_bias",
                "it is added to the scores of attention=dot with project_values=true.",
            ),
            (
                self.relation_bias and self.edges == "axial",
                "relation_bias",
                "edges=axial has separate weights for each kind of edge.",
            ),
            (
                self.nodes in ("factors", "agents")
                and (self.edges == "axial" or self.inputs == "features"),
                "nodes",
                f"{self.nodes} as nodes have no actions for edges=axial or inputs=features.",
            ),
        )

    def nodes_for(self, sizes: AgentSizes) -> NodeKind:
        """What nodes are on a task of these sizes."""
        if self.nodes != "auto":
            return self.nodes
        return "actions" if self.edges == "axial" else usual_nodes(sizes)


class GraphLayer(nn.Module):
    """One round of message passing.

    Args:
        config: settings of the action graph.
        last: whether this is the last layer.
        relations: [P, P] kinds of edges, for `relation_bias`.

    Shapes:
        z: [R, P, d];  allowed: [R, P, P] bool or None;  out: [R, P, d]
    """

    attention: DotAttention | GATAttention

    def __init__(
        self, config: ActionGraphConfig, last: bool = False, relations: Tensor | None = None
    ):
        super().__init__()
        d = config.embed_dim
        self.residual = config.residual
        self.norm = node_norm(config)
        self.attention = make_attention(
            config.attention, d, config.heads, config.project_values, last, relations
        )
        self.ffn = (
            nn.Sequential(nn.LayerNorm(d), nn.Linear(d, 2 * d), nn.ReLU(), nn.Linear(2 * d, d))
            if config.ffn
            else None
        )

    def forward(self, z: Tensor, allowed: Tensor | None) -> Tensor:
        """Node features after one exchange of messages."""
        return self.finish(z, self.attention(self.norm(z), allowed))

    def weights(self, z: Tensor, allowed: Tensor | None) -> list[Tensor]:
        """The attention that `forward` uses, [R, heads, P, P], once per exchange of messages."""
        return [self.attention.weights(self.norm(z), allowed)]

    def finish(self, z: Tensor, messages: Tensor) -> Tensor:
        """The part after the exchange of messages, node by node. z, messages: [..., d]."""
        out = self.attention.output(messages)
        z = z + out if self.residual else out
        return z if self.ffn is None else z + self.ffn(z)


def node_norm(config: ActionGraphConfig) -> nn.Module:
    """A norm over a node's features, or nothing."""
    return nn.LayerNorm(config.embed_dim) if config.layernorm == "pre" else nn.Identity()
