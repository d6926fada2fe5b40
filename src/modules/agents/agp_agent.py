"""Action-Graph Policy: Q-values from an agent's own input and its coordination context.

Source: Gupta et al., arXiv 2602.17009, Eq. 12-17 and algorithm 2. The paper leaves two choices
open, as the settings' comments say. One is recurrence (`recurrent`). The other is the head: all
actions at once (`vector`, algorithm 2) or one node at a time (`node`, the f(o_i, a_i, kappa_i) of
the text). All parameters are shared by the agents.
"""

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from modules.action_graph.graph import ActionGraph, empty_context
from modules.action_graph.layer import ActionGraphConfig
from modules.agents.base import AgentInputs, AgentSizes
from modules.choices import Choices, SumOfChoices, last_layer, last_width
from modules.layers import SequenceGRU, parameter_count
from utils.errors import out_of_range, unread, validate
from utils.registry import AGENTS


@dataclass(frozen=True)
class AGPAgentConfig:
    """Settings of `agp_agent`."""

    recurrent: Literal["pre", "post"] = "post"  # where use_rnn puts the GRU: before graph or head
    head: Literal["vector", "additive", "node"] = "vector"  # node: one score per node, for any A;
    # additive: numbers per choice, where an action is several choices, and their sum per action
    pair_rank: int = 0  # additive: size of the vectors whose products tie two choices; 0: none
    match_params: bool = False  # without graph: widen the head to the parameter count with graph
    graph: ActionGraphConfig = field(default_factory=ActionGraphConfig)  # the action graph

    def __post_init__(self) -> None:
        validate(
            (
                self.head == "node" and not (self.graph.enabled and self.graph.nodes != "agents"),
                "head",
                "the node head scores nodes of actions, so it needs graph.enabled=true and "
                "graph.nodes other than agents.",
            ),
            *out_of_range(self, 0, 1024, "pair_rank"),
            *unread(self, self.head == "additive", "head=additive", "pair_rank"),
            (
                self.match_params and self.graph.enabled,
                "match_params",
                "matching parameters only makes sense with graph.enabled=false.",
            ),
            (
                self.graph.inputs == "features" and self.recurrent == "pre",
                "recurrent",
                "a GRU before the graph reads observations; with graph.inputs=features there are "
                "none to read, so choose post.",
            ),
        )


class VectorHead(nn.Module):
    """Q_i = last(ReLU(Linear([x_i, kappa_i]))).

    Shapes:
        x: [R, N, F];  context: [R, N, d];  out: [R, N, A]
    """

    def __init__(self, input_dim: int, hidden_dim: int, last: nn.Module):
        super().__init__()
        self.first = nn.Linear(input_dim, hidden_dim)
        self.last = last

    @override
    def forward(self, x: Tensor, context: Tensor, nodes: Tensor | None) -> Tensor:
        return self.last(functional.relu(self.first(torch.cat([x, context], dim=-1))))


class NodeHead(nn.Module):
    """Q(i, a) = MLP([x_i, kappa_i, h_(i,a)]), the same weights for every action.

    Where nodes are choices, Q(i, a) is the sum over the choices that make the action. A node of a
    continuous action's number gives a mean and a deviation.

    Shapes:
        x: [R, N, F];  context: [R, N, d];  nodes: [R, N, A, d];  out: [R, N, outputs x A]
    """

    def __init__(
        self,
        agent_dim: int,
        node_dim: int,
        hidden_dim: int,
        choices: Choices | None,
        outputs: int,
    ):
        super().__init__()
        self.from_agent = nn.Linear(agent_dim, hidden_dim)
        self.from_node = nn.Linear(node_dim, hidden_dim, bias=False)
        self.last = nn.Linear(hidden_dim, outputs)
        self.sum = None if choices is None else SumOfChoices(choices)

    @override
    def forward(self, x: Tensor, context: Tensor, nodes: Tensor | None) -> Tensor:
        assert nodes is not None
        agent = self.from_agent(torch.cat([x, context], dim=-1)).unsqueeze(2)  # [R, N, 1, H]
        scores: Tensor = self.last(functional.relu(agent + self.from_node(nodes)))
        return scores.transpose(2, 3).flatten(2) if self.sum is None else self.sum(scores)


@AGENTS.register("agp_agent", config=AGPAgentConfig)
class AGPAgent(nn.Module):
    """Graph, GRU where agents remember, head; all B x L graphs of a batch are one attention call.

    Shapes:
        inputs.x: [B, L, N, F];  hidden: [B, N, H] or None
        outputs: [B, L, N, A];  next hidden: [B, N, H], None without GRU
    """

    def __init__(self, config: AGPAgentConfig, sizes: AgentSizes):
        super().__init__()
        self.config = config
        self.recurrent = config.recurrent if sizes.use_rnn else None
        h, d = sizes.hidden_dim, config.graph.embed_dim
        width = graph_width = h if self.recurrent == "pre" else sizes.input_dim
        if config.graph.inputs == "features":
            width = 0
        self.pre: nn.Module | None = None
        self.memory: SequenceGRU | None = None
        if self.recurrent == "pre":
            self.pre, self.memory = nn.Linear(sizes.input_dim, h), SequenceGRU(h, h)
        self.graph: ActionGraph | None = None
        if config.graph.enabled:
            self.graph = ActionGraph(config.graph, sizes, width, keep_nodes=config.head == "node")
        context_dim = d
        if self.recurrent == "post":
            self.pre, self.memory = nn.Linear(width + d, h), SequenceGRU(h, h)
            width, context_dim = h, 0
        if config.head == "node":
            assert self.graph is not None
            choices = self.graph.layout.choices
            self.head: nn.Module = NodeHead(
                width + context_dim, d, h, choices, sizes.outputs_per_action
            )
        else:
            hidden = h
            if config.match_params:
                lost = parameter_count(ActionGraph(config.graph, sizes, graph_width, False))
                per_unit = (
                    width + context_dim + 1 + last_width(sizes, config.head, config.pair_rank)
                )
                hidden += round(lost / per_unit)
            last = last_layer(nn.Linear, hidden, sizes, config.head, config.pair_rank)
            self.head = VectorHead(width + context_dim, hidden, last)

    @override
    def forward(self, inputs: AgentInputs, hidden: Tensor | None) -> tuple[Tensor, Tensor | None]:
        outputs, hidden, _ = self._run(inputs, hidden, return_attention=False)
        return outputs, hidden

    def attention(self, inputs: AgentInputs, hidden: Tensor | None = None) -> list[Tensor]:
        """Attention weights of each layer, [B * L, heads, P, P], for logging and drawing.

        Raises:
            ValueError: if the agent has no graph.
        """
        if self.graph is None:
            raise ValueError("this agent has no action graph (graph.enabled=false).")
        return self._run(inputs, hidden, return_attention=True)[2] or []

    def _run(
        self, inputs: AgentInputs, hidden: Tensor | None, return_attention: bool
    ) -> tuple[Tensor, Tensor | None, list[Tensor] | None]:
        x = inputs.x  # [B, L, N, F]
        b, length = x.shape[:2]
        if self.recurrent == "pre":
            x, hidden = self._remember(x, hidden, inputs.resets)
        rows = x.flatten(0, 1)  # [R, N, F], R = B * L
        nodes, attention = None, None
        if self.graph is None:
            context = empty_context(rows, self.config.graph.embed_dim)
        else:
            out = self.graph(
                rows,
                inputs.avail.flatten(0, 1),
                _flatten(inputs.action_features),
                _flatten(inputs.is_active),
                return_attention,
            )
            context, nodes, attention = out.context, out.nodes, out.attention
        if self.config.graph.inputs == "features":
            rows = rows[..., :0]
        if self.recurrent == "post":
            joined = torch.cat([rows, context], dim=-1).unflatten(0, (b, length))
            x, hidden = self._remember(joined, hidden, inputs.resets)
            rows, context = x.flatten(0, 1), context[..., :0]
        outputs = self.head(rows, context, nodes)  # [R, N, A]
        return outputs.unflatten(0, (b, length)), hidden, attention

    def _remember(
        self, x: Tensor, hidden: Tensor | None, resets: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        assert self.pre is not None
        assert self.memory is not None
        return self.memory(functional.relu(self.pre(x)), hidden, resets)


def _flatten(x: Tensor | None) -> Tensor | None:
    return None if x is None else x.flatten(0, 1)
