"""The controller of Action-Graph Policies: inputs of the action nodes, common noise, attention.

Source: Gupta et al., arXiv 2602.17009, algorithm 1. The graph itself is `modules/action_graph`, the
heads `modules/agents/agp_agent.py`. Beyond the paper: `common_noise`, an input shared by the team
at each step. Given the joint observation, AGP's greedy play is one fixed joint action; the paper's
proofs (theorem C.1) need a shared random variable, and this is it (docs/results/claims.md, 9.4).
Noise is stored with the episode, because values are learnt for the noise acted on.
"""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from typing_extensions import override

from components.episode_batch import EpisodeBatch
from components.settings import AgentSettings
from controllers.basic_controller import BasicController, BasicControllerConfig
from envs.base import EnvInfo
from utils.errors import LARGEST_LAYER, out_of_range, unread, validate
from utils.registry import CONTROLLERS


@dataclass(frozen=True)
class AGPControllerConfig(BasicControllerConfig):
    """Settings of `agp_controller`."""

    common_noise: int = 0  # K, normal random numbers drawn at each step; 0: none
    common_noise_rows: Literal["shared", "per_agent"] = "shared"  # the same K for all, or K each

    def __post_init__(self) -> None:
        validate(
            *out_of_range(self, 0, LARGEST_LAYER, "common_noise"),
            *unread(self, self.common_noise > 0, "common_noise above 0", "common_noise_rows"),
        )


@CONTROLLERS.register("agp_controller", config=AGPControllerConfig)
class AGPController(BasicController):
    """`BasicController` with common noise; it also computes the attention of the graph."""

    config: AGPControllerConfig

    def __init__(
        self,
        config: AGPControllerConfig,
        shared: AgentSettings,
        info: EnvInfo,
        agent: tuple[str, Any],
        device: torch.device,
        seed: int,
    ):
        self.noise_dim = config.common_noise
        super().__init__(config, shared, info, agent, device, seed)

    @override
    def draw_noise(self, batch_size: int, generator: torch.Generator) -> Tensor | None:
        if self.noise_dim == 0:
            return None
        n = self.info.n_agents
        rows = n if self.config.common_noise_rows == "per_agent" else 1
        noise = torch.randn(
            batch_size, rows, self.noise_dim, generator=generator, device=self.device
        )
        return noise.expand(batch_size, n, self.noise_dim)

    @torch.no_grad()
    def attention(self, batch: EpisodeBatch) -> list[Tensor]:
        """Attention of each layer at each step of whole episodes, [B, T+1, heads, P, P].

        Node p is (agent, action) = (layout.agent[p], layout.action[p]) of `agent.graph.layout`.
        """
        n_steps = batch.n_steps + 1
        layers = self.agent.attention(self.agent_inputs(batch, n_steps))  # type: ignore[operator]
        return [w.unflatten(0, (batch.n_episodes, n_steps)) for w in layers]
