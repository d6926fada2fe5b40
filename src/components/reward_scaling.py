"""Reward scaling by the statistics of all collected steps.

Departures from EPyMARL's `standardise_rewards`: moments are taken over newly collected real steps
only, once per collected batch. Its version counts padding, and counts replayed steps again at each
update. A reward that has not varied yet is not divided. `meanstd` also subtracts the mean: where an
episode's length depends on behaviour that changes the task, because it adds a constant reward to
every step.
"""

from typing import Any, Literal

import torch
from torch import Tensor


class RewardScaler:
    """Running mean and standard deviation of the reward (Chan et al. 1983, parallel update).

    Args:
        mode: `none`, `std` (divide by the deviation) or `meanstd` (subtract the mean first).
        device: where rewards live.

    Attributes:
        count: real steps so far; this and the next two are float64 scalars on the device.
        mean: of their rewards.
        square_sum: sum of their squared differences from the mean.
    """

    def __init__(self, mode: Literal["none", "std", "meanstd"], device: torch.device):
        self.mode = mode
        self.count, self.mean, self.square_sum = torch.zeros(
            3, dtype=torch.float64, device=device
        ).unbind()
        self._centre, self._divisor = torch.zeros_like(self.mean), torch.ones_like(self.mean)

    def update(self, reward: Tensor, valid: Tensor) -> None:
        """Take newly collected rewards into account: [B, T, R]; valid: [B, T, 1 or R] bool."""
        if self.mode == "none":
            return
        real = valid.expand_as(reward)
        n = real.sum()
        mean = torch.where(real, reward, 0.0).sum(dtype=torch.float64) / n.clamp(min=1)
        spread = torch.where(real, reward - mean, 0.0).double().square().sum()
        total = self.count + n
        delta, share = mean - self.mean, n / total.clamp(min=1)
        self.square_sum.add_(spread + delta.square() * self.count * share)
        self.mean.add_(delta * share)
        self.count.copy_(total)
        self._prepare()

    def _prepare(self) -> None:
        """Compute shift and divisor of `scale`; a reward that has not varied yet is not divided."""
        deviation = (self.square_sum / self.count).sqrt()
        self._divisor.copy_(torch.where(deviation > 1e-6, deviation, 1.0))
        if self.mode == "meanstd":
            self._centre.copy_(self.mean)

    def scale(self, reward: Tensor) -> Tensor:
        """The scaled reward, same shape; the reward itself before the first update."""
        if self.mode == "none":
            return reward
        return (reward - self._centre) / self._divisor

    def state_dict(self) -> dict[str, Any]:
        """The moments."""
        return {name: getattr(self, name).item() for name in ("count", "mean", "square_sum")}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the moments."""
        for name, value in state.items():
            getattr(self, name).fill_(value)
        self._prepare()
