"""Normalisation for policy gradients: a critic's targets by running moments, advantages by batch.

Sources of the former: van Hasselt et al., arXiv 1602.07714 (without PopArt's correction of the last
layer); Yu et al., arXiv 2103.01955. The moments follow the targets as the policy improves: a batch
has the weight 1/n of the n-th batch, but at least `LEAST_WEIGHT`.
"""

import sys
from typing import Any

import torch
from torch import Tensor

from components.masking import masked_mean

LEAST_WEIGHT = 0.02
LEAST_DEVIATION = 0.02  # advantages are divided by no less; of rewards around 1 it is noise


class ValueMoments:
    """Normalises targets and gives values their units back.

    Args:
        enabled: false: both leave everything as it is.
        device: where values live.
    """

    def __init__(self, enabled: bool, device: torch.device):
        self.enabled = enabled
        self._n_batches = 0
        self._mean, self._square = torch.zeros(2, dtype=torch.float64, device=device).unbind()

    def update(self, targets: Tensor, mask: Tensor | None) -> None:
        """Follow the targets [B, T, C] of a batch where `mask` (broadcastable, None: all) is true.

        Must be called once for a batch, before `normalise`.
        """
        if not self.enabled:
            return
        self._n_batches += 1
        weight = max(1 / self._n_batches, LEAST_WEIGHT)
        values = targets.double()
        self._mean.lerp_(masked_mean(values, mask), weight)
        self._square.lerp_(masked_mean(values.square(), mask), weight)

    def normalise(self, x: Tensor) -> Tensor:
        """From the reward's units."""
        return ((x - self._mean) / self._deviation()).float() if self.enabled else x

    def denormalise(self, x: Tensor) -> Tensor:
        """To the reward's units."""
        return (x * self._deviation() + self._mean).float() if self.enabled else x

    def _deviation(self) -> Tensor:
        """One while the targets have not varied."""
        variance = self._square - self._mean.square()
        return torch.where(variance > 1e-12, variance.clamp(min=0).sqrt(), 1.0)

    def state_dict(self) -> dict[str, Any]:
        """The moments."""
        moments = {"mean": self._mean.item(), "square": self._square.item()}
        return {"n_batches": self._n_batches, **moments}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the moments."""
        self._n_batches = state["n_batches"]
        self._mean.fill_(state["mean"])
        self._square.fill_(state["square"])


class AdvantageScaler:
    """Gives the advantages of a batch mean 0 and deviation 1.

    Args:
        enabled: false: they stay as they are.
        device: where advantages live.
    """

    def __init__(self, enabled: bool, device: torch.device):
        self.enabled = enabled
        self.deviation = torch.ones((), device=device)  # of the last batch, written in place
        self._has_warned = False

    def scale(self, advantage: Tensor, mask: Tensor | None) -> Tensor:
        """Advantages [B, T, C]; those where `mask` (broadcastable, None: all) is true count."""
        centred = advantage - masked_mean(advantage, mask)
        self.deviation.copy_(masked_mean(centred.square(), mask).sqrt())
        return centred / self.deviation.clamp(min=LEAST_DEVIATION) if self.enabled else advantage

    def last_deviation(self) -> Tensor:
        """A copy of `deviation`; warns, once, if it is so small that noise is amplified."""
        deviation = self.deviation.clone()
        if not self.enabled or self._has_warned or deviation >= LEAST_DEVIATION:
            return deviation
        self._has_warned = True
        print(
            f"warning: the advantages' deviation is {deviation:.2g}, below {LEAST_DEVIATION}: all "
            f"actions seem equally good, and normalising amplifies noise. If the policy has not "
            f"learnt yet, use learner_args.normalise_advantage=False and a larger "
            f"learner_args.entropy_start.",
            file=sys.stderr,
        )
        return deviation
