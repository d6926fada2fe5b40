"""Parity: the number of acting agents must be even.

Source: Gupta et al., arXiv 2602.17009, appendix B. Observations carry no information; the reward is
1 if the sum of the binary actions is even, else 0. No sum of unary and pairwise terms represents
this reward (docs/results/claims.md, 9.3), yet always playing 0 maximises it.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from envs.matrix_games._one_step import OneStepGame
from envs.matrix_games._sizes import MOST
from utils.errors import out_of_range, validate
from utils.registry import ENVS


@dataclass(frozen=True)
class ParityConfig:
    """Settings of `parity`."""

    n_agents: int = 3  # N, 1 to 10,000

    def __post_init__(self) -> None:
        validate(*out_of_range(self, 1, MOST, "n_agents"))


@ENVS.register("parity", config=ParityConfig)
class Parity(OneStepGame):
    """The parity game."""

    obs_dim, state_dim = 1, 1
    action_names = ("wait", "act")

    def __init__(
        self, config: ParityConfig, batch_size: int, device: torch.device, seed: int, stream: str
    ):
        self.n_agents, self.n_actions = config.n_agents, 2
        super().__init__(batch_size, device, seed, stream)

    @override
    def draw(self) -> tuple[Tensor, Tensor]:
        return self.constant_signals()

    @override
    def play(self, actions: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        success = 1.0 - (actions.sum(dim=1) % 2).float()
        return success, {"success": success}
