"""A batch of whole episodes as named tensors.

Time comes second: fields seen *before* an action have T+1 steps (the last is seen after the last
action, for bootstrapping). Fields that belong to an action have T. Shorter episodes are padded at
the end: `valid` is false there, `avail` all true (so that no softmax or maximum sees an empty row),
everything else zero.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from envs.base import EnvInfo


@dataclass(slots=True)
class EpisodeBatch:
    """Whole episodes; see the module's text for padding."""

    obs: Tensor  # [B, T+1, N, O] float32, or uint8 for images
    avail: Tensor  # [B, T+1, N, A] bool, true where the action may be chosen
    actions: Tensor  # [B, T, N] int64; continuous: [B, T, N, A] float32
    reward: Tensor  # [B, T, R] float32, R = 1 (team) or N (individual)
    terminated: Tensor  # [B, T, 1] bool, the world ended: no value after this step
    truncated: Tensor  # [B, T, 1] bool, ended by a time limit: the value after this step counts
    valid: Tensor  # [B, T, 1] bool, true on real steps
    action_features: Tensor | None = None  # [B, T+1, N, A, F] float32
    is_active: Tensor | None = None  # [B, T+1, N] bool, true for agents that take part
    noise: Tensor | None = None  # [B, T+1, N, K] float32, common noise the actions were chosen with
    own_state: Tensor | None = None  # [B, T+1, S] float32; None: the state is the observations

    @classmethod
    def zeros(
        cls,
        info: EnvInfo,
        n_episodes: int,
        device: torch.device,
        n_rewards: int = 1,
        noise_dim: int = 0,
    ) -> EpisodeBatch:
        """A batch of `n_episodes` empty episodes of the environment's longest length."""
        b, t, n = n_episodes, info.episode_limit, info.n_agents

        def new(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
            return torch.zeros(shape, dtype=dtype, device=device)

        return cls(
            obs=new(b, t + 1, n, info.obs_dim, dtype=info.obs_dtype),
            avail=torch.ones(b, t + 1, n, info.n_actions, dtype=torch.bool, device=device),
            actions=new(b, t, n, info.n_actions)
            if info.is_continuous
            else new(b, t, n, dtype=torch.int64),
            reward=new(b, t, n_rewards),
            terminated=new(b, t, 1, dtype=torch.bool),
            truncated=new(b, t, 1, dtype=torch.bool),
            valid=new(b, t, 1, dtype=torch.bool),
            action_features=new(b, t + 1, n, info.n_actions, info.action_feature_dim)
            if info.action_feature_dim
            else None,
            is_active=new(b, t + 1, n, dtype=torch.bool) if info.varying_team else None,
            noise=new(b, t + 1, n, noise_dim) if noise_dim else None,
            own_state=None if info.state_is_obs else new(b, t + 1, info.state_dim),
        )

    @property
    def state(self) -> Tensor:
        """The state for centralised training, [B, T+1, S] float32."""
        return as_floats(self.obs.flatten(2)) if self.own_state is None else self.own_state

    @property
    def n_episodes(self) -> int:
        """B."""
        return self.actions.shape[0]

    @property
    def n_steps(self) -> int:
        """T, the padded number of transitions."""
        return self.actions.shape[1]

    @property
    def n_bytes(self) -> int:
        """Memory of all fields in bytes."""
        return sum(x.numel() * x.element_size() for _, x in self.items())

    def items(self) -> Iterator[tuple[str, Tensor]]:
        """Pairs (name, tensor) of the fields that this batch has."""
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if value is not None:
                yield name, value

    def select(self, index: Tensor, out: EpisodeBatch | None = None) -> EpisodeBatch:
        """The episodes at `index` ([K] int64), copied; into `out`, if given."""
        if out is None:
            return type(self)(**{k: torch.index_select(v, 0, index) for k, v in self.items()})
        for name, stored in self.items():
            torch.index_select(stored, 0, index, out=getattr(out, name))
        return out

    def empty(self, n_episodes: int) -> EpisodeBatch:
        """Unset memory for `n_episodes` episodes like these."""
        return type(self)(**{k: v.new_empty(n_episodes, *v.shape[1:]) for k, v in self.items()})

    def shorten(self, n_steps: int) -> EpisodeBatch:
        """Views of the first `n_steps` transitions; the rest must be padding."""
        surplus = self.n_steps - n_steps
        if surplus == 0:
            return self
        return type(self)(**{k: v[:, : v.shape[1] - surplus] for k, v in self.items()})


def as_floats(obs: Tensor) -> Tensor:
    """Observations as networks read them: bytes of images become numbers from 0 to 1."""
    return obs if obs.is_floating_point() else obs / 255
