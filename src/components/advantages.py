"""Advantages and the targets of a critic of states, computed once from the episodes of a batch."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from components.episode_batch import EpisodeBatch
from components.normalisation import AdvantageScaler, ValueMoments
from components.returns import generalised_advantages


@dataclass(frozen=True)
class AdvantageSettings:
    """Settings of a learner with advantages."""

    gae_lambda: float = 0.95  # lambda of the advantages, in [0, 1]
    normalise_advantage: bool = True  # to mean 0 and deviation 1 over a batch
    value_norm: bool = True  # the critic learns targets normalised by running moments

    def problems(self) -> tuple[tuple[bool, str, str], ...]:
        """Cases for `validate`: settings out of range."""
        is_bad = not 0 <= self.gae_lambda <= 1
        return ((is_bad, "gae_lambda", f"{self.gae_lambda} is not in [0, 1]."),)


class AdvantageEstimator:
    """Generalised advantages of a critic that may learn normalised values.

    Args:
        settings: see `AdvantageSettings`.
        gamma: discount per step.
        device: where values live.
    """

    def __init__(self, settings: AdvantageSettings, gamma: float, device: torch.device):
        self.gamma, self.gae_lambda = gamma, settings.gae_lambda
        self.moments = ValueMoments(settings.value_norm, device)
        self.scaler = AdvantageScaler(settings.normalise_advantage, device)

    def estimate(
        self, batch: EpisodeBatch, reward: Tensor, values: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Advantages and the critic's targets, [B, T, C] each. Moves the moments.

        Args:
            batch: B episodes.
            reward: [B, T, R], as they are learnt from.
            values: [B, T+1, C] by the critic; [B, T, C] where nothing follows the last step.
            mask: which entries count, broadcastable to [B, T, C]; None: all.
        """
        t = batch.n_steps
        values = self.moments.denormalise(values)
        if values.shape[1] == t:
            values = functional.pad(values, (0, 0, 0, 1))
        now, after = values[:, :t], values[:, 1:]
        ends = (batch.terminated, batch.valid)
        advantage = generalised_advantages(reward, now, after, *ends, self.gamma, self.gae_lambda)
        target = advantage + now
        self.moments.update(target, mask)
        return self.scaler.scale(advantage, mask), self.moments.normalise(target)

    def state_dict(self) -> dict[str, Any]:
        """The moments of the targets."""
        return self.moments.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the moments."""
        self.moments.load_state_dict(state)
