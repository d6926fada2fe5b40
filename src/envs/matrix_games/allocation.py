"""Allocation: agents with private values choose efforts that must add up to exactly K.

The continuous counterpart of Top-K (`topk.py`). Values v_i ~ U[0, 1] are independent, o_i = (v_i),
the state is (v_1..v_N), and the action of agent i is one number, its effort e_i in [0, 1]. The
team's reward is

    R(e) = sum_i v_i e_i - p |sum_i e_i - K|,    p > 1.

Optimum. The largest reward is S_K, the sum of the K largest values, and is reached where the K
agents with those values give 1 and the others 0. Proof: let m = sum_i e_i. If m < K, some e_i < 1,
and raising it changes R at the rate v_i + p > 0. If m > K, some e_i > 0, and lowering it changes R
at the rate p - v_i > 0. So R is largest where m = K, and there R = sum_i v_i e_i, a linear function
on {e in [0, 1]^N: sum_i e_i = K}: it is largest where the largest values have effort 1. As p > 1
and values differ with probability 1, no other joint action is as good.

Its expectation is K - K (K + 1) / (2 (N + 1)), because the j-th largest of N values is
(N + 1 - j) / (N + 1) in the mean. What policies reach that see only their own value is in
`analysis/allocation_bounds.py`.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from components.spaces import Box
from envs.matrix_games._one_step import OneStepGame
from envs.matrix_games._sizes import MOST
from utils.errors import out_of_range, validate
from utils.registry import ENVS


@dataclass(frozen=True)
class AllocationConfig:
    """Settings of `allocation`."""

    n_agents: int = 6  # N, 1 to 10,000
    k: int = 2  # K, what all efforts must add up to, 0 to N
    penalty: float = 2.0  # p, for each unit of effort above or below K, above 1 to 1,000
    tolerance: float = 0.1  # a success may miss K and the optimal value by less, above 0 to 1

    def __post_init__(self) -> None:
        validate(
            *out_of_range(self, 1, MOST, "n_agents"),
            (
                not 0 <= self.k <= self.n_agents,
                "k",
                f"{self.k} cannot be given by n_agents={self.n_agents}, each at most 1; "
                "k must lie between 0 and n_agents.",
            ),
            (
                not 1 < self.penalty <= 1_000,
                "penalty",
                f"{self.penalty} must be above 1, the largest value, and at most 1,000: otherwise "
                f"giving more than k would pay.",
            ),
            (
                not 0 < self.tolerance <= 1,
                "tolerance",
                f"{self.tolerance} must be above 0 and at most 1.",
            ),
        )


@ENVS.register("allocation", config=AllocationConfig)
class Allocation(OneStepGame):
    """The allocation game."""

    action_names = ("effort",)
    metric_descriptions: ClassVar[dict[str, str]] = {
        "success": "1 if the efforts add up to K and their value is optimal, within the tolerance",
        "value": "the reward of the team",
        "optimum": "the largest reward that any joint action would have earned",
        "regret": "optimum minus value",
        "gap": "distance of the sum of all efforts from K",
    }

    def __init__(
        self,
        config: AllocationConfig,
        batch_size: int,
        device: torch.device,
        seed: int,
        stream: str,
    ):
        self.config = config
        self.n_agents, self.n_actions = config.n_agents, 1
        self.obs_dim, self.state_dim = 1, config.n_agents
        super().__init__(
            batch_size,
            device,
            seed,
            stream,
            action_spaces=(Box((0.0,), (1.0,)),) * config.n_agents,
            metric_ratios={"value_ratio": ("value", "optimum")},
            state_is_obs=True,
        )
        self._values = torch.empty(0)

    @override
    def draw(self) -> tuple[Tensor, Tensor]:
        shape = (self.batch_size, self.n_agents)
        self._values = torch.rand(shape, generator=self.generator, device=self.device)
        return self._values.unsqueeze(2), self._values

    def play(self, actions: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Team reward [B] and metrics of the efforts [B, N, 1]."""
        effort = actions.squeeze(2)  # [B, N]
        gap = (effort.sum(dim=1) - self.config.k).abs()  # [B]
        gained = (self._values * effort).sum(dim=1)
        optimum = self._values.topk(self.config.k, dim=1).values.sum(dim=1)
        value = gained - self.config.penalty * gap
        near = self.config.tolerance
        success = (gap < near) & ((optimum - gained).abs() < near)
        return value, {
            "success": success.float(),
            "value": value,
            "optimum": optimum,
            "regret": optimum - value,
            "gap": gap,
        }
