"""What all one-step games share: draw signals, play once, done."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor

from envs.base import EnvInfo, EnvStep, uniform_info
from utils.seeding import generator_state, restore_generator, torch_generator


class OneStepGame(ABC):
    """B parallel games that end after one joint action; every agent gets the team's reward.

    A subclass sets `n_agents`, `n_actions`, `obs_dim` and `state_dim` before calling `__init__`,
    `action_names` where actions have names, and writes `draw` and `play`. Where not every action is
    always available, actions have features, or teams vary, `draw` sets `_avail`, `_features` or
    `_is_active` too.

    Args:
        batch_size: B.
        device: where tensors live.
        seed: the run's root seed.
        stream: name of the random stream.
        promises: entries of `EnvInfo` that differ from what most games promise.
    """

    n_agents: int
    n_actions: int
    obs_dim: int
    state_dim: int
    action_names: tuple[str, ...] | None = None  # A names
    metric_descriptions: ClassVar[dict[str, str]] = {
        "success": "1 if no other joint action would have paid more"
    }

    def __init__(
        self, batch_size: int, device: torch.device, seed: int, stream: str, **promises: Any
    ):
        self.batch_size, self.device = batch_size, device
        self.generator = torch_generator(seed, stream, device=device)
        names = self.action_names
        promises = {
            "action_names": None if names is None else (names,) * self.n_agents,
            "metric_descriptions": dict(self.metric_descriptions),
            "dynamic_avail": False,
            "fixed_length": True,
            "truncates": False,
            **promises,
        }
        sizes = (self.n_agents, self.n_actions, self.obs_dim, self.state_dim)
        self.info: EnvInfo = uniform_info(*sizes, episode_limit=1, **promises)
        shape = (batch_size, self.n_agents, self.n_actions)
        self._avail = torch.ones(shape, dtype=torch.bool, device=device)
        self._no_reward = torch.zeros(batch_size, self.n_agents, device=device)
        self._never = torch.zeros(batch_size, dtype=torch.bool, device=device)
        self._ended = torch.ones(batch_size, dtype=torch.bool, device=device)
        self._obs = self._state = torch.empty(0)
        self._features: Tensor | None = None
        self._is_active: Tensor | None = None
        self._last: EnvStep | None = None

    @abstractmethod
    def draw(self) -> tuple[Tensor, Tensor]:
        """New signals: obs [B, N, O] and state [B, S]."""

    @abstractmethod
    def play(self, actions: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Team reward [B] and metrics {name: [B]} of the joint actions [B, N]."""

    def reset(self) -> EnvStep:
        """Draw new signals."""
        self._obs, self._state = self.draw()
        self._last = None
        return self._show(self._no_reward, self._never, {})

    def step(self, actions: Tensor) -> EnvStep:
        """Play the joint action and end the episode; later steps change nothing."""
        if self._last is None:
            reward, metrics = self.play(actions)
            reward = reward.unsqueeze(1).expand(-1, self.n_agents)  # [B, N]
            if self._is_active is not None:
                reward = torch.where(self._is_active, reward, 0.0)
            self._last = self._show(reward, self._ended, metrics)
            return self._last
        self._last = self._show(self._no_reward, self._ended, self._last.metrics)
        return self._last

    def _show(self, reward: Tensor, terminated: Tensor, metrics: dict[str, Tensor]) -> EnvStep:
        return EnvStep(
            self._obs,
            self._state,
            self._avail,
            reward,
            terminated,
            self._never,
            metrics,
            self._features,
            self._is_active,
        )

    def constant_signals(self) -> tuple[Tensor, Tensor]:
        """Signals without information: observations of 1, a state of 1."""
        obs = torch.ones(self.batch_size, self.n_agents, 1, device=self.device)
        return obs, obs[:, 0]

    def state_dict(self) -> dict[str, Any]:
        """The random stream."""
        return {"generator": generator_state(self.generator)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the random stream."""
        restore_generator(self.generator, state["generator"])

    def close(self) -> None:  # noqa: B027 (nothing to release is the rule here)
        """Nothing to release."""
