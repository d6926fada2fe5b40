"""Critic on an action graph: the team's value of what all agents see and can do.

Source: the action graph of Gupta et al., arXiv 2602.17009, Eq. 13-15; V = MLP(mean_i kappa_i) over
the coordination contexts of the agents that take part. The graph has separate weights from the
policies' and holds what they see. Departure: the paper does not describe such a critic.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from modules.action_graph.graph import ActionGraph
from modules.action_graph.layer import ActionGraphConfig
from modules.critics.base import Critic, CriticInputs, CriticSizes
from modules.initialisation import orthogonal_mlp
from utils.errors import validate
from utils.registry import CRITICS


@dataclass(frozen=True)
class ActionGraphCriticConfig(ActionGraphConfig):
    """Settings of the critic `action_graph`: those of an agent's graph."""

    def __post_init__(self) -> None:
        super().__post_init__()
        validate((not self.enabled, "enabled", "without a graph use critic=state_value."))


@CRITICS.register("action_graph", config=ActionGraphCriticConfig)
class ActionGraphCritic(Critic):
    """V = MLP(mean_i kappa_i).

    Shapes:
        inputs.own: [B, L, N, F];  inputs.avail: [B, L, N, A];  inputs.action_features:
            [B, L, N, A, F'];  inputs.is_active: [B, L, N];  out: [B, L, R], R = 1 or N rewards
    """

    estimates: ClassVar[str] = "values of states"

    def __init__(self, config: ActionGraphCriticConfig, sizes: CriticSizes):
        super().__init__(config, sizes)
        assert sizes.agents is not None
        self.n_values = sizes.n_rewards
        self.graph = ActionGraph(config, sizes.agents, sizes.input_dim, keep_nodes=False)
        self.value = orthogonal_mlp([config.embed_dim, sizes.hidden_dim, self.n_values])

    @override
    def forward(self, inputs: CriticInputs) -> Tensor:
        seen = (inputs.own, inputs.avail, inputs.action_features, inputs.is_active)
        context = self.graph(*(None if x is None else x.flatten(0, 1) for x in seen)).context
        if inputs.is_active is not None:  # [B * L, N, d], then the mean over agents [B * L, d]
            here = inputs.is_active.flatten(0, 1).unsqueeze(2)
            context = torch.where(here, context, 0.0) / here.sum(dim=1, keepdim=True).clamp(min=1)
        pooled = context.mean(dim=1) if inputs.is_active is None else context.sum(dim=1)
        values: Tensor = self.value(pooled).unflatten(0, inputs.own.shape[:2])
        return values
