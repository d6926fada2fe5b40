"""FOP's mixer: the team's soft advantage is a weighted sum of the agents' soft advantages.

Source: Zhang, Li, Wang, Xie, Lu, ICML 2021 (PMLR 139:12491-12500). Under IGO (individual-global
optimal) the joint optimal soft policy is the product of individual ones, which holds if

    Q_jt(s, u) - V_jt(s) = sum_i lambda_i(s, u) w_i(s) (q_i(u_i) - V_i),   lambda_i, w_i > 0
    V_jt(s) = V0(s) + sum_i w_i(s) V_i,   V_i = a logsumexp_u(q_i(u) / a)

w_i: attention of the state over the agents' units, as in Qatten (Yang et al., arXiv 2002.03939),
summed over heads, so that sum_i w_i = `heads`. lambda_i: as in QPLEX (Wang et al., arXiv
2008.01062), see `_advantage_weights.py`. Computed as in the authors' code,

    Q_jt = V0(s) + sum_i w_i q_i + sum_i (lambda_i - 1) sg[w_i (q_i - V_i)],   sg: without gradient

which has the same value, while q_i and w_i learn as in a weighted sum and lambda_i alone explains
what that leaves.

Departures from the authors' code: agent i's unit is its observation instead of its slice of a
StarCraft state; first layers that read the same state are one matrix product.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from modules.layers import AgentwiseLinear
from modules.mixers._advantage_weights import POSITIVE, AdvantageWeights
from utils.errors import LARGEST_LAYER, out_of_range, validate
from utils.registry import MIXERS
from utils.shapes import check


@dataclass(frozen=True)
class FOPMixerConfig:
    """Settings of `fop`."""

    embed_dim: int = 32  # E, features of the attention and hidden units of V0
    hypernet_embed: int = 64  # hidden units of the attention's queries
    heads: int = 4  # heads of the attention and of lambda
    attention_reg: float = 1e-3  # weight of the squared attention logits in the loss, at least 0

    def __post_init__(self) -> None:
        validate(
            *out_of_range(self, 1, LARGEST_LAYER, "embed_dim", "hypernet_embed"),
            *out_of_range(self, 1, 1_000, "heads"),
            (self.attention_reg < 0, "attention_reg", f"{self.attention_reg} is negative."),
        )


@MIXERS.register("fop", config=FOPMixerConfig)
class FOPMixer(nn.Module):
    """Q_jt = V0(s) + sum_i w_i V_i + sum_i lambda_i w_i (q_i - V_i).

    Shapes:
        q_taken, value: [B, T, N];  state: [B, T, S];  actions: [B, T, N] int64;  obs: [B, T, N, O]
        is_active: [B, T, N] bool or None; absent agents have q_taken and value 0
        out: Q_jt [B, T, 1], and the regulariser of the attention [B, T, 1]
    """

    needs_team_reward = True
    extra_sizes = ("n_actions", "obs_dim")
    mixes = "soft values"

    def __init__(
        self, config: FOPMixerConfig, n_agents: int, state_dim: int, n_actions: int, obs_dim: int
    ):
        super().__init__()
        n, e, h, heads = n_agents, config.embed_dim, config.hypernet_embed, config.heads
        self.n_agents, self.config = n, config
        self.widths = (heads * h, e)  # columns: first layer of the queries and of V0
        self.from_state = nn.Linear(state_dim, sum(self.widths))
        self.query = AgentwiseLinear(heads, h, e, bias=False)
        self.key = nn.Linear(obs_dim, heads * e, bias=False)
        self.value_out = nn.Linear(e, 1)
        self.lambdas = AdvantageWeights(n, state_dim, n_actions, heads)

    def forward(
        self,
        q_taken: Tensor,
        state: Tensor,
        value: Tensor,
        actions: Tensor,
        obs: Tensor,
        is_active: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Q_jt of the actions taken, and the regulariser of the attention weights."""
        sizes = check(q_taken, f"B T {self.n_agents}")
        check(state, "B T S", sizes)
        check(value, f"B T {self.n_agents}", sizes)
        check(actions, f"B T {self.n_agents}", sizes)
        check(obs, f"B T {self.n_agents} O", sizes)
        absent = None
        if is_active is not None:
            absent = ~is_active & is_active.any(dim=2, keepdim=True)  # none where all are absent
        queries, hidden = self.from_state(state).split(self.widths, dim=-1)
        weight, penalty = self._weights(queries, obs, absent)  # [B, T, N], [B, T, 1]
        base = self.value_out(functional.relu(hidden))  # [B, T, 1], V0
        advantage = weight * (q_taken - value)
        explained = self.lambdas.explained(advantage, state, actions, is_active)
        mixed = weight * q_taken + explained  # [B, T, N]
        return base + mixed.sum(dim=2, keepdim=True), penalty

    def _weights(
        self, queries: Tensor, obs: Tensor, absent: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """w_i [B, T, N], and the sum over heads of the mean squared logits [B, T, 1]."""
        heads, e = self.config.heads, self.config.embed_dim
        query = self.query(functional.relu(queries).unflatten(-1, (heads, -1)))  # [B, T, heads, E]
        key = self.key(obs).unflatten(-1, (heads, e))  # [B, T, N, heads, E]
        logits = (query.unsqueeze(2) * key).sum(dim=4)  # [B, T, N, heads]
        scores, squares = logits / e**0.5, logits.square()
        if absent is None:
            penalty = squares.mean(dim=2)  # [B, T, heads]
        else:
            gone = absent.unsqueeze(3)
            scores = scores.masked_fill(gone, -torch.inf)
            penalty = squares.masked_fill(gone, 0.0).sum(dim=2) / (~gone).sum(dim=2)
        weight = scores.softmax(dim=2).sum(dim=3) + POSITIVE
        return weight, self.config.attention_reg * penalty.sum(dim=2, keepdim=True)
