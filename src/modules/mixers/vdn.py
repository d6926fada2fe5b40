"""Value decomposition network: the team's value is the sum of the agents' values.

Source: Sunehag et al., arXiv 1706.05296.
"""

from typing import Any

from torch import Tensor, nn

from utils.registry import MIXERS


@MIXERS.register("vdn")
class VDNMixer(nn.Module):
    """Q_tot = sum_i Q_i.

    Shapes:
        q_taken: [B, T, N];  state: [B, T, S], unused;  out: [B, T, 1]
    """

    needs_team_reward = True

    def __init__(self, config: Any, n_agents: int, state_dim: int):
        super().__init__()
        del config, n_agents, state_dim

    def forward(self, q_taken: Tensor, state: Tensor) -> Tensor:
        """The sum of the agents' values."""
        return q_taken.sum(dim=2, keepdim=True)
