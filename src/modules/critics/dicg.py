"""Critic on an implicit coordination graph: DICG with decentralised execution.

Source: Li et al., arXiv 2006.11438, and the authors' code (aggregator `sum`): V = sum_i MLP(E~_i),
E~ the graph's embeddings (`modules/implicit_graph.py`) of what each agent's policy sees.

Departures: absent agents take no part in graph and sum. With individual rewards V_i = MLP(E~_i) is
the value of agent i. V is fitted by its squared error, which is the authors' Gaussian likelihood at
a fixed deviation.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from modules.critics.base import Critic, CriticInputs, CriticSizes
from modules.implicit_graph import ImplicitGraph, ImplicitGraphConfig
from modules.layers import orthogonal_linear
from utils.registry import CRITICS
from utils.shapes import check


@dataclass(frozen=True)
class DICGCriticConfig(ImplicitGraphConfig):
    """Settings of the critic `dicg`."""


@CRITICS.register("dicg", config=DICGCriticConfig)
class DICGCritic(Critic):
    """V = sum_i MLP(E~_i), one hidden layer.

    Shapes:
        inputs.own: [B, L, N, F];  inputs.is_active: [B, L, N] bool or None
        out: [B, L, R], R = 1 for a team, N if rewards are individual
    """

    estimates: ClassVar[str] = "values of states"

    def __init__(self, config: DICGCriticConfig, sizes: CriticSizes):
        super().__init__(config, sizes)
        self.n_values, h = sizes.n_rewards, sizes.hidden_dim
        self.graph = ImplicitGraph(config, sizes.input_dim)
        embed_dim = config.embed_dim or sizes.input_dim
        self.value = nn.Sequential(
            orthogonal_linear(embed_dim, h), nn.Tanh(), orthogonal_linear(h, 1)
        )

    def forward(self, inputs: CriticInputs) -> Tensor:
        """The team's value, or each agent's."""
        check(inputs.own, "B L N F")
        values: Tensor = self.value(self.graph.context(inputs.own, inputs.is_active)).squeeze(3)
        if self.n_values > 1:
            return values  # [B, L, N]
        if inputs.is_active is not None:
            values = torch.where(inputs.is_active, values, 0.0)
        return values.sum(dim=2, keepdim=True)  # [B, L, 1]
