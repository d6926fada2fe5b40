"""The climbing game: a 3x3 common-pay-off game whose best entry is guarded by heavy penalties.

Source: Claus & Boutilier, AAAI 1998. The best joint action (0, 0) pays 11; leaving it alone costs
30.
"""

from typing import Any

import torch

from envs.matrix_games._table_game import TableGame
from utils.registry import ENVS

PAYOFF = ((11.0, -30.0, 0.0), (-30.0, 7.0, 6.0), (0.0, 0.0, 5.0))


@ENVS.register("climbing")
class Climbing(TableGame):
    """The climbing game."""

    def __init__(self, config: Any, batch_size: int, device: torch.device, seed: int, stream: str):
        del config
        super().__init__(torch.tensor(PAYOFF), batch_size, device, seed, stream)
