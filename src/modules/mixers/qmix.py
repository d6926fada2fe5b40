"""QMIX: the team's value is a monotonic function of the agents' values, shaped by the state.

Source: Rashid et al., arXiv 1803.11485 (JMLR 21(178), 2020). Departure: the first layers of the
four hypernetworks read the same state and are one matrix product here; the function is the same.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from utils.errors import LARGEST_LAYER, out_of_range, unread, validate
from utils.registry import MIXERS
from utils.shapes import check


@dataclass(frozen=True)
class QMixConfig:
    """Settings of `qmix`."""

    embed_dim: int = 32  # E, hidden units of the mixing network
    hypernet_layers: Literal[1, 2] = 2  # layers of the hypernetworks that make its weights
    hypernet_embed: int = 64  # hidden units of those, with two layers
    pos_fn: Literal["abs", "softplus", "square"] = "abs"  # makes the weights non-negative
    activation: Literal["elu", "none"] = "elu"  # none: affine in the agents' values, as MACPF's
    use_state: bool = True  # false: weights from a constant instead of the state, a control

    def __post_init__(self) -> None:
        validate(
            *out_of_range(self, 1, LARGEST_LAYER, "embed_dim", "hypernet_embed"),
            *unread(self, self.hypernet_layers == 2, "hypernet_layers=2", "hypernet_embed"),
        )


POSITIVE: dict[str, Callable[[Tensor], Tensor]] = {
    "abs": torch.abs,
    "softplus": functional.softplus,
    "square": torch.square,
}


@MIXERS.register("qmix", config=QMixConfig)
class QMixer(nn.Module):
    """Q_tot = ELU(q |W1(s)| + b1(s)) |w2(s)| + V(s), with dQ_tot/dQ_i >= 0.

    Shapes:
        q_taken: [B, T, N];  state: [B, T, S];  out: [B, T, 1]
    """

    needs_team_reward = True

    def __init__(self, config: QMixConfig, n_agents: int, state_dim: int):
        super().__init__()
        self.n_agents, self.embed_dim = n_agents, config.embed_dim
        self.two_layers, self.use_state = config.hypernet_layers == 2, config.use_state
        self.positive = POSITIVE[config.pos_fn]
        self.bend = functional.elu if config.activation == "elu" else nn.Identity()
        n, e, h = n_agents, config.embed_dim, config.hypernet_embed
        # Rows of the joint first layer: hyper-W1, hyper-w2, V, and b1, which has one layer only.
        self.widths = (h, h, e, e) if self.two_layers else (n * e, e, e, e)
        self.first = nn.Linear(state_dim, sum(self.widths))
        if self.two_layers:
            self.w1_out = nn.Linear(h, n * e)
            self.w2_out = nn.Linear(h, e)
        self.value_out = nn.Linear(e, 1)

    def forward(self, q_taken: Tensor, state: Tensor) -> Tensor:
        """Q_tot of the actions taken, with weights generated from the state."""
        sizes = check(q_taken, f"B T {self.n_agents}")
        check(state, "B T S", sizes)
        if not self.use_state:
            state = torch.ones_like(state)
        w1, w2, value, b1 = self.first(state).split(self.widths, dim=-1)
        if self.two_layers:
            w1, w2 = self.w1_out(functional.relu(w1)), self.w2_out(functional.relu(w2))
        w1 = self.positive(w1).unflatten(-1, (self.n_agents, self.embed_dim))  # [B, T, N, E]
        hidden = torch.einsum("btn,btne->bte", q_taken, w1) + b1  # [B, T, E]
        total = (self.bend(hidden) * self.positive(w2)).sum(dim=-1, keepdim=True)
        return total + self.value_out(functional.relu(value))  # [B, T, 1]
