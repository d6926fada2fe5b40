"""Capacity: agents choose how much to send over one channel; if it is too much, all is lost.

The paper's motivating example "total transmissions must remain below a threshold" (Gupta et al.,
arXiv 2602.17009, section 1), given values. Action l = 0..L is to send l units, action 0 is silence.
What l units are worth to agent i, v_i(l), is seen by agent i only: the sum of the l largest of L
numbers from U[0, 1], so each further unit is worth less. The channel carries `budget` units, which
every agent knows. The team's reward is the sum of v_i(l_i), or 0 if more than the budget is sent.
The optimum is a knapsack, solved by dynamic programming.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from envs.matrix_games._sizes import (
    MOST,
    Share,
    Size,
    below,
    draw_share,
    draw_size,
    ends,
    largest,
    size_problem,
)
from envs.matrix_games._structured_game import StructuredGame
from utils.errors import validate
from utils.registry import ENVS


@dataclass(frozen=True)
class CapacityConfig:
    """Settings of `capacity`."""

    n_agents: Size = 5  # N, 1 to 10,000; [low, high]: drawn for each episode
    n_levels: Size = 4  # L, levels above silence, 1 to 10,000; [low, high]: drawn for each
    budget: Share = (
        0.2,
        0.6,
    )  # part of N L units that the channel carries, 0.001 to 1; or one number
    measure_optimum: bool = True  # metrics that compare with the exact optimum

    def __post_init__(self) -> None:
        validate(
            size_problem("n_agents", self.n_agents, 1, MOST),
            size_problem("n_levels", self.n_levels, 1, MOST),
            size_problem("budget", self.budget, 0.001, 1),
        )


@ENVS.register("capacity", config=CapacityConfig)
class Capacity(StructuredGame):
    """The capacity game."""

    # Value; whether it is available; part of the budget that it takes; and that N agents would take
    # who all did so.
    feature_dim = 4

    def __init__(
        self,
        config: CapacityConfig,
        batch_size: int,
        device: torch.device,
        seed: int,
        stream: str,
    ):
        self.config = config
        self.n_actions = 1 + largest(config.n_levels)
        self.obs_dim = 2 * self.n_actions + 2
        self.action_names = ("silent", *(f"level {a}" for a in range(1, self.n_actions)))
        metrics = {"overload": "1 if more was sent than the channel carries"}
        super().__init__(config, metrics, batch_size, device, seed, stream)
        self._values = torch.empty(0)  # [B, N, 1 + L] float64
        self._budget = torch.empty(0)  # [B] int64, in units

    @override
    def sample_instance(self, present: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        config, width = self.config, self.n_actions - 1
        given = (self.batch_size, self.generator, self.device)
        n_levels, n = draw_size(config.n_levels, *given), present.sum(dim=1)  # [B] each
        exists = below(n_levels, width).unsqueeze(1) & present.unsqueeze(2)  # [B, N, L]
        gains = torch.where(exists, self.uniform(self.n_agents, width), 0.0)
        values = gains.sort(dim=2, descending=True).values.cumsum(dim=2)
        self._values = functional.pad(values, (1, 0))
        share = draw_share(config.budget, *given)
        self._budget = (share * n * n_levels).round().long().clamp(min=1)
        avail = functional.pad(exists, (1, 0), value=True)
        level = torch.arange(self.n_actions, device=self.device)
        part = (level / self._budget.unsqueeze(1)).unsqueeze(1).expand(avail.shape)  # [B, N, 1 + L]
        numbers = [self._values.float(), avail.float(), part, part * n.view(-1, 1, 1)]
        features = torch.where(avail & present.unsqueeze(2), torch.stack(numbers), 0.0)
        features = features.movedim(0, 3)  # [B, N, 1 + L, 4]
        of_one_unit = features[:, :, 1, 2:]  # [B, N, 2]: that of l units is l times as much
        return torch.cat([features[..., :2].flatten(2), of_one_unit], dim=2), avail, features

    @override
    def joint_reward(self, actions: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        overload = actions.sum(dim=1) > self._budget  # [B]
        value = self._values.gather(2, actions.unsqueeze(2)).sum(dim=(1, 2))  # [B]
        return torch.where(overload, 0.0, value), {"overload": overload.float()}

    def best_value(self) -> Tensor:
        """The optimum of the knapsack; the loop over agents is the dynamic program."""
        n_levels = self.n_actions - 1
        units = math.ceil(ends(self.config.budget)[1] * self.n_agents * n_levels)  # at most
        best = self._values.new_zeros(self.batch_size, units + 1)  # with at most so many units
        for i in range(self.n_agents):
            less = functional.pad(best, (n_levels, 0), value=-torch.inf)
            less = less.unfold(1, units + 1, 1).flip(1)  # [B, 1 + L, units + 1], l units fewer
            best = (less + self._values[:, i].unsqueeze(2)).amax(dim=1)
        return best.gather(1, self._budget.unsqueeze(1)).squeeze(1)
