"""The implicit coordination graph of DICG: who matters to whom, and what is exchanged.

Source: Li, Gupta, Morales, Allen & Kochenderfer, *Deep Implicit Coordination Graphs*, AAMAS 2021,
arXiv 2006.11438, and the authors' code. With x_i the input of agent i,

    E0_i = enc(x_i),   M_ij = softmax_j(E0_i^T W E0_j)         self included, one head, unscaled
    E^(l+1) = tanh(M E^l W_l + b_l),  l = 0..L-1,   E~ = E0 + E^L

M is computed once and used in every layer; its rows sum to 1, so that no degree normalises them.
All B x L graphs are computed at once.

Departure: agents that take no part are masked before the softmax.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from modules.layers import CustomInitialisation
from utils.errors import LARGEST_LAYER, out_of_range, validate

EncoderForm = Literal["relu", "tanh"]
AttentionForm = Literal["general", "dot", "diff", "identity", "uniform"]


@dataclass(frozen=True)
class ImplicitGraphConfig:
    """Settings of an implicit coordination graph."""

    attention: AttentionForm = "general"  # diff: tanh(w . |e_i - e_j|); identity, uniform: fixed
    encoder: EncoderForm = "relu"  # relu: in the middle; tanh: there and at the end
    embed_dim: int = 64  # d, features of an embedding; 0: as many as the input has
    encoder_dim: int = 128  # hidden units of encoder and aggregator
    layers: int = 2  # L, graph layers
    residual: bool = True  # add E0 to the last layer's output

    def __post_init__(self) -> None:
        validate(
            *out_of_range(self, 0, LARGEST_LAYER, "embed_dim"),
            *out_of_range(self, 1, LARGEST_LAYER, "encoder_dim"),
            *out_of_range(self, 1, 100, "layers"),
        )


class GraphEncoder(CustomInitialisation, nn.Sequential):
    """enc, two layers; with tanh their weights start as in the authors' code.

    Shapes:
        x: [B, L, N, F];  out: [B, L, N, d]
    """

    def __init__(self, form: EncoderForm, input_dim: int, hidden_dim: int, embed_dim: int):
        first, second = nn.Linear(input_dim, hidden_dim), nn.Linear(hidden_dim, embed_dim)
        if form == "relu":
            super().__init__(first, nn.ReLU(), second)
            return
        for layer in (first, second):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
        super().__init__(first, nn.Tanh(), second, nn.Tanh())


class AgentAttention(CustomInitialisation, nn.Module):
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

    def forward(self, embedding: Tensor, is_active: Tensor | None) -> Tensor:
        """How much each agent attends to each other, M."""
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


class GraphLayer(CustomInitialisation, nn.Module):
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

    def forward(self, embedding: Tensor, weights: Tensor) -> Tensor:
        """The next embeddings."""
        return torch.tanh(self.linear(weights @ embedding))


class ImplicitGraph(nn.Module):
    """From what each agent sees to an embedding that has heard the others.

    Shapes:
        x: [B, L, N, F];  is_active: [B, L, N] bool or None;  context: [B, L, N, d]
    """

    def __init__(self, config: ImplicitGraphConfig, input_dim: int):
        super().__init__()
        d, h = config.embed_dim or input_dim, config.encoder_dim
        self.residual = config.residual
        self.encoder = GraphEncoder(config.encoder, input_dim, h, d)
        self.attention = AgentAttention(config.attention, d)
        self.layers = nn.ModuleList(GraphLayer(d) for _ in range(config.layers))

    def context(self, x: Tensor, is_active: Tensor | None) -> Tensor:
        """E~, of each agent."""
        first = last = self.encoder(x)  # [B, L, N, d]
        weights = self.attention(first, is_active)  # [B, L, N, N]
        for layer in self.layers:
            last = layer(last, weights)
        return first + last if self.residual else last
