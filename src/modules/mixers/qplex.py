"""QPLEX: any joint value whose best joint action is each agent's best action (duplex dueling).

Source: Wang, Ren, Liu, Yu & Zhang, *QPLEX: Duplex Dueling Multi-Agent Q-Learning*, ICLR 2021, arXiv
2008.01062, section 3. Agent i's value and advantage are transformed by the state,

    V_i = w_i(s) max_a q_i(a) + b_i(s),   A_i = w_i(s) (q_i(u_i) - max_a q_i(a)) <= 0,   w_i > 0
    Q_tot(s, u) = sum_i V_i + sum_i lambda_i(s, u) A_i,   lambda_i > 0

A_i is 0 at the best action only, so Q_tot is largest where every q_i is. Departures: lambda's
networks have two layers (the authors': one or three); an absent agent's action is ignored.
"""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from modules.mixers._advantage_weights import POSITIVE, AdvantageWeights
from utils.errors import LARGEST_LAYER, out_of_range, unread, validate
from utils.registry import MIXERS
from utils.shapes import check


@dataclass(frozen=True)
class QPlexConfig:
    """Settings of `qplex`."""

    hypernet_embed: int = 64  # hidden units of w and b
    heads: int = 4  # heads of lambda
    lambda_layers: int = 2  # layers of lambda's networks, 1 to 3
    lambda_embed: int = 64  # hidden units of those, with more than one layer

    def __post_init__(self) -> None:
        validate(
            *out_of_range(self, 1, LARGEST_LAYER, "hypernet_embed", "lambda_embed"),
            *out_of_range(self, 1, 1_000, "heads"),
            *out_of_range(self, 1, 3, "lambda_layers"),
            *unread(self, self.lambda_layers > 1, "lambda_layers above 1", "lambda_embed"),
        )


@MIXERS.register("qplex", config=QPlexConfig)
class QPlexMixer(nn.Module):
    """QPLEX: a sum of the agents' values and of their advantages, with positive weights.

    Shapes:
        q_taken, q_max: [B, T, N], 0 for absent agents;  state: [B, T, S];  actions: [B, T, N] int64
        is_active: [B, T, N] bool or None;  out: [B, T, 1]
    """

    needs_team_reward = True
    extra_sizes = ("n_actions",)
    mixes = "values and their maxima"

    def __init__(self, config: QPlexConfig, n_agents: int, state_dim: int, n_actions: int):
        super().__init__()
        h, n, self.n_agents = config.hypernet_embed, n_agents, n_agents
        self.from_state = nn.Linear(state_dim, 2 * h)  # columns: first layer of w and of b
        self.weight_out, self.bias_out = nn.Linear(h, n), nn.Linear(h, n)
        form = (config.heads, config.lambda_layers, config.lambda_embed)
        self.lambdas = AdvantageWeights(n, state_dim, n_actions, *form)

    def forward(
        self,
        q_taken: Tensor,
        state: Tensor,
        q_max: Tensor,
        actions: Tensor,
        is_active: Tensor | None = None,
    ) -> Tensor:
        """The value of the joint action taken."""
        sizes = check(q_taken, f"B T {self.n_agents}")
        check(state, "B T S", sizes)
        check(q_max, f"B T {self.n_agents}", sizes)
        check(actions, f"B T {self.n_agents}", sizes)
        w, b = functional.relu(self.from_state(state)).chunk(2, dim=-1)
        weight = self.weight_out(w).abs() + POSITIVE  # [B, T, N]
        explained = self.lambdas.explained(weight * (q_taken - q_max), state, actions, is_active)
        return (weight * q_taken + self.bias_out(b) + explained).sum(dim=2, keepdim=True)
