"""Assignment: agents pick resources with private values; one that several pick is lost to all.

The paper's motivating example "no two agents select the same resource" (Gupta et al., arXiv
2602.17009, section 1), given values. Action 0 is to pick nothing, action a = 1..A resource a.
Values u_i[a] ~ U[0, 1] are independent and seen by agent i only; each resource is open to each
agent with probability `availability`. The team's reward is the sum of the values of resources that
one agent picked, minus `conflict_cost` for every agent whose pick another agent made too. The
optimum is a matching of largest weight.
"""

from dataclasses import dataclass

import torch
from scipy.optimize import linear_sum_assignment
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
    largest,
    size_problem,
)
from envs.matrix_games._structured_game import StructuredGame
from utils.errors import validate
from utils.registry import ENVS


@dataclass(frozen=True)
class AssignmentConfig:
    """Settings of `assignment`."""

    n_agents: Size = 5  # N, 1 to 10,000; [low, high]: drawn for each episode
    n_resources: Size = 5  # A, 1 to 10,000; [low, high]: drawn for each episode
    availability: Share = 0.7  # p, that a resource is open to an agent, 0.001 to 1; or [low, high]
    conflict_cost: float = 0.5  # paid by each agent whose pick is contested, at least 0
    measure_optimum: bool = True  # metrics that compare with the exact optimum

    def __post_init__(self) -> None:
        cost = self.conflict_cost
        validate(
            size_problem("n_agents", self.n_agents, 1, MOST),
            size_problem("n_resources", self.n_resources, 1, MOST),
            size_problem("availability", self.availability, 0.001, 1),
            (cost < 0, "conflict_cost", f"{cost} must not be negative."),
        )


@ENVS.register("assignment", config=AssignmentConfig)
class Assignment(StructuredGame):
    """The assignment game."""

    feature_dim = 3  # value, whether it is available, whether it is action 0
    optimum_on_host = True

    def __init__(
        self,
        config: AssignmentConfig,
        batch_size: int,
        device: torch.device,
        seed: int,
        stream: str,
    ):
        self.config = config
        self.n_actions = 1 + largest(config.n_resources)
        self.obs_dim = 2 * self.n_actions
        self.action_names = ("nothing", *(f"resource {a}" for a in range(1, self.n_actions)))
        metrics = {"conflict_rate": "share of the agents whose pick another agent made too"}
        super().__init__(config, metrics, batch_size, device, seed, stream)
        self._values = torch.empty(0)  # [B, N, 1 + A] float64, zero where not available

    @override
    def sample_instance(self, present: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        config, width = self.config, self.n_actions - 1
        given = (self.batch_size, self.generator, self.device)
        exists = below(draw_size(config.n_resources, *given), width)  # [B, A]
        p = draw_share(config.availability, *given).view(-1, 1, 1)
        is_open = self.uniform(self.n_agents, width) < p  # [B, N, A]
        is_open &= exists.unsqueeze(1) & present.unsqueeze(2)
        values = torch.where(is_open, self.uniform(self.n_agents, width), 0.0)
        self._values = functional.pad(values, (1, 0))
        self._n_present = present.sum(dim=1)  # [B]
        avail = functional.pad(is_open, (1, 0), value=True)
        is_none = (torch.arange(self.n_actions, device=self.device) == 0).expand_as(avail)
        numbers = torch.stack([self._values.float(), avail.float(), is_none.float()], dim=3)
        features = torch.where(present[:, :, None, None], numbers, 0.0)
        return features[..., :2].flatten(2), avail, features

    @override
    def joint_reward(self, actions: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        zeros = actions.new_zeros(self.batch_size, self.n_actions)
        n_picks = zeros.scatter_add_(1, actions, torch.ones_like(actions))
        contested = (n_picks.gather(1, actions) > 1) & (actions > 0)  # [B, N]
        value = self._values.gather(2, actions.unsqueeze(2)).squeeze(2)  # [B, N]
        reward = torch.where(contested, -self.config.conflict_cost, value).sum(dim=1)
        return reward, {"conflict_rate": contested.sum(dim=1) / self._n_present}

    def best_value(self) -> Tensor:
        """The best assignment of each episode, solved one after the other on the CPU."""
        best = []
        for values in self._values[:, :, 1:].cpu().numpy():
            best.append(values[linear_sum_assignment(values, maximize=True)].sum())
        return torch.tensor(best, dtype=torch.float64, device=self.device)
