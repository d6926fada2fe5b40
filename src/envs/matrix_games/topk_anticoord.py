"""Top-K selection with an anti-coordination penalty.

Source: Gupta et al., arXiv 2602.17009, section 5.1. As `topk`, and the reward falls by `penalty`
(lambda) for every pair of acting agents whose signals are closer than `epsilon`. The paper does not
say whether the penalty is paid per pair or once; `penalty_mode` offers both. For N=6, K=2 the best
possible expected return is 0.7657 (docs/results/claims.md, 9.7).
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from typing_extensions import override

from envs.matrix_games.topk import TopK, TopKConfig
from utils.errors import validate
from utils.registry import ENVS


@dataclass(frozen=True)
class TopKAnticoordConfig(TopKConfig):
    """Settings of `topk_anticoord`."""

    epsilon: float = 0.1  # signals closer than this conflict, at least 0
    penalty: float = 0.5  # lambda, taken off the reward, at least 0
    penalty_mode: Literal["per_pair", "once"] = "per_pair"  # once: at most one penalty per step

    def __post_init__(self) -> None:
        TopKConfig.__post_init__(self)
        validate(
            (self.epsilon < 0, "epsilon", f"{self.epsilon} must not be negative."),
            (self.penalty < 0, "penalty", f"{self.penalty} must not be negative."),
        )


@ENVS.register("topk_anticoord", config=TopKAnticoordConfig)
class TopKAnticoord(TopK):
    """Top-K selection with a penalty for close signals."""

    config: TopKAnticoordConfig

    @override
    def play(self, actions: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        reward, metrics = super().play(actions)
        acts = actions == 1  # [B, N]
        close = (
            self._signals.unsqueeze(1) - self._signals.unsqueeze(2)
        ).abs() < self.config.epsilon
        both = acts.unsqueeze(1) & acts.unsqueeze(2)  # [B, N, M]
        n_pairs = torch.triu(both & close, diagonal=1).sum(dim=(1, 2))  # [B]
        if self.config.penalty_mode == "once":
            n_pairs = n_pairs.clamp(max=1)
        return reward - self.config.penalty * n_pairs, metrics
