"""Top-K selection: exactly the K agents with the largest private signals must act.

Source: Gupta et al., arXiv 2602.17009, section 5.1, Eq. 18. Signals u_i ~ U[0, 1] are independent,
o_i = (u_i), the state is (u_1..u_N), actions are 0 and 1. The team's reward is +1 if {i: a_i = 1}
is the set of the K largest signals, else -1. Reference values for N=6, K=2: claims 9.6 in
docs/results/claims.md.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from envs.matrix_games._one_step import OneStepGame
from envs.matrix_games._sizes import MOST
from utils.errors import out_of_range, validate
from utils.registry import ENVS


@dataclass(frozen=True)
class TopKConfig:
    """Settings of `topk`."""

    n_agents: int = 6  # N, 1 to 10,000
    k: int = 2  # K, how many agents must act, 0 to N

    def __post_init__(self) -> None:
        validate(
            *out_of_range(self, 1, MOST, "n_agents"),
            (
                not 0 <= self.k <= self.n_agents,
                "k",
                f"{self.k} agents cannot be chosen among n_agents={self.n_agents}; "
                "k must lie between 0 and n_agents.",
            ),
        )


@ENVS.register("topk", config=TopKConfig)
class TopK(OneStepGame):
    """Top-K selection."""

    action_names = ("wait", "act")
    metric_descriptions: ClassVar[dict[str, str]] = {
        "success": "1 if exactly the agents with the K largest signals acted"
    }

    def __init__(
        self, config: TopKConfig, batch_size: int, device: torch.device, seed: int, stream: str
    ):
        self.config = config
        self.n_agents, self.n_actions = config.n_agents, 2
        self.obs_dim, self.state_dim = 1, config.n_agents
        super().__init__(batch_size, device, seed, stream, state_is_obs=True)
        self._signals = torch.empty(0)

    @override
    def draw(self) -> tuple[Tensor, Tensor]:
        shape = (self.batch_size, self.n_agents)
        self._signals = torch.rand(shape, generator=self.generator, device=self.device)
        return self._signals.unsqueeze(2), self._signals

    @override
    def play(self, actions: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        best = self._signals.topk(self.config.k, dim=1).indices  # [B, K]
        chosen = torch.zeros_like(actions).scatter_(1, best, 1)  # [B, N]
        success = (actions == chosen).all(dim=1).float()  # [B]
        return 2 * success - 1, {"success": success}
