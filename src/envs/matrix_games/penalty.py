"""The penalty game: 3x3, two best joint actions, and a penalty k for mixing them.

Source: Claus & Boutilier, AAAI 1998. (0, 0) and (2, 2) pay 10, the safe (1, 1) pays 2, (0, 2) and
(2, 0) pay k <= 0.
"""

from dataclasses import dataclass

import torch

from envs.matrix_games._table_game import TableGame
from utils.errors import validate
from utils.registry import ENVS


@dataclass(frozen=True)
class PenaltyConfig:
    """Settings of `penalty`."""

    k: float = -100.0  # pay-off of mixing the two best actions, at most 0

    def __post_init__(self) -> None:
        validate((self.k > 0, "k", f"{self.k} is a reward; the penalty must be at most 0."))


@ENVS.register("penalty", config=PenaltyConfig)
class Penalty(TableGame):
    """The penalty game."""

    def __init__(
        self, config: PenaltyConfig, batch_size: int, device: torch.device, seed: int, stream: str
    ):
        k = config.k
        payoff = torch.tensor([[10.0, 0.0, k], [0.0, 2.0, 0.0], [k, 0.0, 10.0]])
        super().__init__(payoff, batch_size, device, seed, stream)
