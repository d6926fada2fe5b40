"""Deep implicit coordination graph: attention says who matters to whom, graph layers exchange.

Source: Li, Gupta, Morales, Allen & Kochenderfer, *Deep Implicit Coordination Graphs*, AAMAS 2021,
arXiv 2006.11438, and the authors' code. With x_i the input of agent i,

    E0_i = enc(x_i),   M_ij = softmax_j(E0_i^T W E0_j)         self included, one head, unscaled
    E^(l+1) = tanh(M E^l W_l + b_l),  l = 0..L-1,   E~ = E0 + E^L
    Q_i = base(aggregate(E~_i))

M is computed once and used in every layer; its rows sum to 1, so that no degree normalises them.
The parts on agents work on all B x L graphs at once; only the base agent may have a memory.

Departures: this is the value-based form under QMIX (`dicg.yaml`) that comparisons of Q-learning
methods use. The paper trains stochastic policies by PPO: centralised execution (CE) puts a policy
head where Q_i is here, decentralised execution (DE) uses the graph in the critic only; both wait
for an on-policy learner. Here enc has ReLU behind its first layer and nothing behind its second,
with PyTorch's initial weights, where the authors' has tanh behind both and Xavier's weights with
zero biases; a base agent behind an aggregator takes the policy head's place; and agents that take
no part are masked before the softmax. Embeddings have the
paper's 64 features; value-based versions elsewhere use as many as the input has (`embed_dim: 0`),
which in a task with one number per observation leaves one.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn
from typing_extensions import override

from modules.agents.base import AgentInputs, AgentSizes
from modules.agents.rnn_agent import RNNAgent, RNNAgentConfig
from utils.errors import LARGEST_LAYER, outside, refuse
from utils.registry import AGENTS

AttentionForm = Literal["general", "dot", "diff", "identity", "uniform"]


@dataclass(frozen=True)
class DICGAgentConfig:
    """Settings of `dicg_agent`."""

    attention: AttentionForm = "general"  # diff: tanh(w . |e_i - e_j|); identity, uniform: fixed
    embed_dim: int = 64  # d, features of an embedding; 0: as many as the input has
    encoder_dim: int = 128  # hidden units of encoder and aggregator
    layers: int = 2  # L, graph layers
    residual: bool = True  # add E0 to the last layer's output

    def __post_init__(self) -> None:
        refuse(
            *outside(self, 0, LARGEST_LAYER, "embed_dim"),
            *outside(self, 1, LARGEST_LAYER, "encoder_dim"),
            *outside(self, 1, 100, "layers"),
        )


class AgentAttention(nn.Module):
    """Who matters to whom, M.

    Shapes:
        embedding: [B, L, N, d];  is_active: [B, L, N] bool or None;  out: [B, L, N, N], rows sum
            to 1
    """

    def __init__(self, form: AttentionForm, embed_dim: int):
        super().__init__()
        self.form = form
        widths = {"general": embed_dim, "diff": 1}
        self.score: nn.Linear | None = None
        if form in widths:
            self.score = nn.Linear(embed_dim, widths[form], bias=False)

    @override
    def forward(self, embedding: Tensor, is_active: Tensor | None) -> Tensor:
        n = embedding.shape[2]
        own = torch.eye(n, dtype=torch.bool, device=embedding.device)  # [N, N]
        if self.form == "identity":
            return own.to(embedding.dtype).expand(*embedding.shape[:2], n, n)
        scores = self._scores(embedding)
        if is_active is not None:  # an agent always attends to itself, so that no row is empty
            scores = scores.masked_fill(~(is_active.unsqueeze(2) | own), -torch.inf)
        return scores.softmax(dim=3)

    def _scores(self, embedding: Tensor) -> Tensor:
        """[B, L, N, N] before the softmax."""
        if self.form == "uniform":
            return torch.zeros_like(embedding[..., :1]).expand(-1, -1, -1, embedding.shape[2])
        if self.form == "diff":
            assert self.score is not None
            difference = (embedding.unsqueeze(3) - embedding.unsqueeze(2)).abs()
            return self.score(difference).squeeze(4).tanh()
        query = embedding if self.score is None else self.score(embedding)
        return query @ embedding.transpose(2, 3)


class GraphLayer(nn.Module):
    """tanh(M E W + b), weights and bias from U(-1/sqrt(d), 1/sqrt(d)) as in the authors' code.

    Shapes:
        embedding: [B, L, N, d];  weights: [B, L, N, N];  out: [B, L, N, d]
    """

    def __init__(self, embed_dim: int):
        super().__init__()
        self.linear = nn.Linear(embed_dim, embed_dim)
        bound = 1 / math.sqrt(embed_dim)
        for p in self.linear.parameters():
            nn.init.uniform_(p, -bound, bound)

    @override
    def forward(self, embedding: Tensor, weights: Tensor) -> Tensor:
        return torch.tanh(self.linear(weights @ embedding))


@AGENTS.register("dicg_agent", config=DICGAgentConfig)
class DICGAgent(nn.Module):
    """Encoder, implicit graph, aggregator, base agent; all weights are shared by the agents.

    Shapes:
        inputs.x: [B, L, N, F];  hidden: [B, N, H] or None
        outputs: [B, L, N, A];  next hidden: [B, N, H], None without GRU
    """

    def __init__(self, config: DICGAgentConfig, sizes: AgentSizes):
        super().__init__()
        d, h = config.embed_dim or sizes.input_dim, config.encoder_dim
        self.residual = config.residual
        self.encoder = nn.Sequential(nn.Linear(sizes.input_dim, h), nn.ReLU(), nn.Linear(h, d))
        self.attention = AgentAttention(config.attention, d)
        self.layers = nn.ModuleList(GraphLayer(d) for _ in range(config.layers))
        self.aggregator = nn.Sequential(nn.Linear(d, h), nn.ReLU(), nn.Linear(h, d))
        self.base = RNNAgent(RNNAgentConfig(), replace(sizes, input_dim=d))

    @override
    def forward(self, inputs: AgentInputs, hidden: Tensor | None) -> tuple[Tensor, Tensor | None]:
        first = last = self.encoder(inputs.x)  # [B, L, N, d]
        weights = self.attention(first, inputs.is_active)  # [B, L, N, N]
        for layer in self.layers:
            last = layer(last, weights)
        embedding = first + last if self.residual else last
        return self.base(replace(inputs, x=self.aggregator(embedding)), hidden)
