"""Aggregates the agents' rewards into the reward that is learnt from, in every environment."""

from dataclasses import replace
from typing import Literal

from torch import Tensor

from envs.base import BatchedEnv, EnvStep, EnvWrapper


class RewardAggregation(EnvWrapper):
    """Turns rewards [B, N] into a team reward [B, 1] (`sum`, `mean`) or leaves them (`individual`).

    Agents that took no part in the step (`is_active` false before it) count neither in the sum nor
    in the mean; the last reward of an agent that leaves does.
    """

    def __init__(self, env: BatchedEnv, mode: Literal["sum", "mean", "individual"]):
        super().__init__(env)
        self.mode = mode
        self._acting: Tensor | None = None  # [B, N] bool, agents that take part in the next step

    @property
    def n_rewards(self) -> int:
        """R: 1 for a team reward, N for individual ones."""
        return self.info.n_agents if self.mode == "individual" else 1

    def reset(self) -> EnvStep:
        """Reset the environment; reward is [B, R]."""
        self._acting = None
        return self._aggregate(self.env.reset())

    def step(self, actions: Tensor) -> EnvStep:
        """Play one step; reward is [B, R]."""
        return self._aggregate(self.env.step(actions))

    def _aggregate(self, step: EnvStep) -> EnvStep:
        if self.mode == "individual":
            return step
        reward, active = step.reward, step.is_active if self._acting is None else self._acting
        self._acting = step.is_active
        if active is not None:
            reward = reward * active
        if self.mode == "sum":
            total = reward.sum(dim=1, keepdim=True)  # [B, 1]
        elif active is not None:
            total = reward.sum(dim=1, keepdim=True) / active.sum(dim=1, keepdim=True).clamp(min=1)
        else:
            total = reward.mean(dim=1, keepdim=True)
        return replace(step, reward=total)
