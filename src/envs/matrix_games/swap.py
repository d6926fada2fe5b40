"""The swap game: each of two agents must name the other's private bit.

o_1 and o_2 are independent fair bits; the reward is 1 if a_1 = o_2 and a_2 = o_1, else 0. A policy
whose agents see only their own bit succeeds at most half the time, with any shared randomness;
one that sees both bits always can. It separates observation sharing from independence
(docs/results/claims.md, 9.1) where the paper's witness does not.
"""

from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from envs.matrix_games._one_step import OneStepGame
from utils.registry import ENVS


@ENVS.register("swap")
class Swap(OneStepGame):
    """The swap game."""

    n_agents, n_actions, obs_dim, state_dim = 2, 2, 2, 4
    action_names = ("say 0", "say 1")

    def __init__(self, config: Any, batch_size: int, device: torch.device, seed: int, stream: str):
        del config
        super().__init__(batch_size, device, seed, stream, state_is_obs=True)
        self._bits = torch.empty(0)

    def draw(self) -> tuple[Tensor, Tensor]:
        """Two random bits, each observed as a one-hot vector."""
        self._bits = torch.randint(
            2, (self.batch_size, 2), generator=self.generator, device=self.device
        )
        obs = torch.nn.functional.one_hot(self._bits, 2).float()  # [B, N, 2]
        return obs, obs.flatten(1)

    @override
    def play(self, actions: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        success = (actions == self._bits.flip(1)).all(dim=1).float()
        return success, {"success": success}
