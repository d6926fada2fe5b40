"""Two-player games given by a table of pay-offs."""

import torch
from torch import Tensor
from typing_extensions import override

from envs.matrix_games._one_step import OneStepGame


class TableGame(OneStepGame):
    """A common-pay-off game without observations; success is playing a best entry.

    Args:
        payoff: [A, A], row: the first agent's action.
        batch_size: B.
        device: where tensors live.
        seed: the run's root seed.
        stream: name of the random stream.
    """

    n_agents, obs_dim, state_dim = 2, 1, 1

    def __init__(
        self, payoff: Tensor, batch_size: int, device: torch.device, seed: int, stream: str
    ):
        self.payoff = payoff.to(device)
        self.n_actions = payoff.shape[0]
        super().__init__(batch_size, device, seed, stream)

    @override
    def draw(self) -> tuple[Tensor, Tensor]:
        return self.constant_signals()

    @override
    def play(self, actions: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        reward = self.payoff[actions[:, 0], actions[:, 1]]  # [B]
        return reward, {"success": (reward == self.payoff.max()).float()}
