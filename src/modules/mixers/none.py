"""No mixing: each agent keeps its own value (independent Q-learning, IQL).

Source: Tan, ICML 1993; Tampuu et al., arXiv 1511.08779. The AGP paper calls it IQN, *independent*
Q-network.
"""

from typing import Any

from torch import Tensor, nn

from utils.registry import MIXERS


@MIXERS.register("none")
class NoMixer(nn.Module):
    """Identity.

    Shapes:
        q_taken: [B, T, N];  state: [B, T, S];  out: [B, T, N]
    """

    needs_team_reward = False

    def __init__(self, config: Any, n_agents: int, state_dim: int):
        super().__init__()
        del config, n_agents, state_dim

    def forward(self, q_taken: Tensor, state: Tensor) -> Tensor:
        """The agents' values, unchanged."""
        return q_taken
