"""What one-step games of choices that depend on each other share: features, masks, an optimum.

Action 0 is always available and does nothing. Teams may be of different sizes: agents beyond an
episode's number take no part, observe zeros and have action 0 only. Every action comes with
features that say what it is. The observation holds the same numbers as one flat vector, for methods
that do not read features; the state is all observations.
"""

from abc import abstractmethod
from typing import ClassVar, Protocol

import torch
from torch import Tensor
from typing_extensions import override

from envs.matrix_games._one_step import OneStepGame
from envs.matrix_games._sizes import Size, below, draw_size, ends, largest

EXACT = 1e-9  # values are float64: two that differ by less are the same


class StructuredConfig(Protocol):
    """What the settings of every such game have."""

    @property
    def n_agents(self) -> Size:
        """N, or a range of it."""
        ...

    @property
    def measure_optimum(self) -> bool:
        """Whether metrics compare with the exact optimum."""
        ...


class StructuredGame(OneStepGame):
    """A one-step game with features and masks of actions, teams that may vary, and an optimum.

    A subclass sets `n_actions`, `obs_dim` and `feature_dim`, and writes
    `sample_instance`, `joint_reward` and `best_value`.

    Args:
        config: settings.
        described: metrics of this game.
        batch_size: B.
        device: where tensors live.
        seed: the run's root seed.
        stream: name of the random stream.
    """

    feature_dim: int
    optimum_on_host: ClassVar[bool] = False  # whether the CPU computes `best_value`

    def __init__(
        self,
        config: StructuredConfig,
        described: dict[str, str],
        batch_size: int,
        device: torch.device,
        seed: int,
        stream: str,
    ):
        self.sizes, self.measures_optimum = config.n_agents, config.measure_optimum
        self.n_agents = largest(config.n_agents)
        self.state_dim = self.n_agents * self.obs_dim
        described = {"value": "the reward of the team", **described}
        ratios = {}
        if self.measures_optimum:
            described["optimum"] = "the largest reward that any joint action would have earned"
            described["optimal"] = "1 if no other joint action would have earned more"
            ratios["value_ratio"] = ("value", "optimum")
        low, high = ends(config.n_agents)
        super().__init__(
            batch_size,
            device,
            seed,
            stream,
            metric_descriptions=described,
            metric_ratios=ratios,
            action_feature_dim=self.feature_dim,
            varying_team=low < high,
            dynamic_avail=True,
            computes_on_host=self.measures_optimum and self.optimum_on_host,
            state_is_obs=True,
        )

    @abstractmethod
    def sample_instance(self, present: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Sample an instance for the agents `present` [B, N] bool.

        Returns:
            obs [B, N, O], avail [B, N, A] and features [B, N, A, F]; zeros for absent agents.
        """

    @abstractmethod
    def joint_reward(self, actions: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Team reward [B] float64 and the metrics of this game, for the joint actions [B, N]."""

    @abstractmethod
    def best_value(self) -> Tensor:
        """The largest possible team reward, [B] float64."""

    @override
    def draw(self) -> tuple[Tensor, Tensor]:
        n = draw_size(self.sizes, self.batch_size, self.generator, self.device)  # [B]
        present = below(n, self.n_agents)  # [B, N]
        obs, self._avail, self._features = self.sample_instance(present)
        if self.info.varying_team:
            self._is_active = present
        return obs, obs.flatten(1)

    @override
    def play(self, actions: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        value, metrics = self.joint_reward(actions)
        reward = value.float()
        metrics["value"] = reward
        if self.measures_optimum:
            best = self.best_value()
            metrics["optimum"] = best.float()
            metrics["optimal"] = (value >= best - EXACT).float()
        return reward, metrics

    def uniform(self, *shape: int) -> Tensor:
        """Numbers from U[0, 1], float64, for each environment: [B, *shape]."""
        return torch.rand(
            self.batch_size,
            *shape,
            generator=self.generator,
            device=self.device,
            dtype=torch.float64,
        )
