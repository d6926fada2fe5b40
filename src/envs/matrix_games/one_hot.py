"""Exactly one agent must act, and no agent observes anything.

Source: the witness of Gupta et al., arXiv 2602.17009, appendix C. The reward is 1 if exactly one of
the N binary actions is 1, else 0. Agents that share parameters and have no ids cannot break the tie
(docs/results/claims.md, 9.4 and 9.5). The metric `acting_agent` is the agent that acted
alone, -1 if none did.
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
class OneHotConfig:
    """Settings of `one_hot`."""

    n_agents: int = 4  # N, 1 to 10,000

    def __post_init__(self) -> None:
        validate(*out_of_range(self, 1, MOST, "n_agents"))


@ENVS.register("one_hot", config=OneHotConfig)
class OneHot(OneStepGame):
    """The game in which exactly one agent must act."""

    obs_dim, state_dim = 1, 1
    action_names = ("wait", "act")
    metric_descriptions: ClassVar[dict[str, str]] = {
        "success": "1 if exactly one agent acted",
        "acting_agent": "index of the agent that acted alone, -1 if none did",
    }

    def __init__(
        self, config: OneHotConfig, batch_size: int, device: torch.device, seed: int, stream: str
    ):
        self.n_agents, self.n_actions = config.n_agents, 2
        super().__init__(batch_size, device, seed, stream)

    @override
    def draw(self) -> tuple[Tensor, Tensor]:
        return self.constant_signals()

    @override
    def play(self, actions: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        success = actions.sum(dim=1) == 1  # [B]
        who = torch.where(success, actions.argmax(dim=1), -1).float()
        reward = success.float()
        return reward, {"success": reward, "acting_agent": who}
