"""Reward scaling by the statistics of all collected steps.

Departures from EPyMARL's `standardise_rewards`: moments are taken over newly collected real steps
only (its version counts padding, and counts replayed steps again at each update), once per
collected batch, and a reward that has not varied yet is not divided. `meanstd` also subtracts the
mean: where an episode's length depends on behaviour that changes the task, because it adds a
constant reward to every step.
"""

from typing import Any, Literal

from torch import Tensor


class RewardScaler:
    """Running mean and standard deviation of the reward (Chan et al. 1983, parallel update).

    Args:
        mode: `none`, `std` (divide by the deviation) or `meanstd` (subtract the mean first).
    """

    def __init__(self, mode: Literal["none", "std", "meanstd"]):
        self.mode = mode
        self.count = 0.0
        self.mean = 0.0
        self.square_sum = 0.0

    def update(self, reward: Tensor, valid: Tensor) -> None:
        """Take newly collected rewards into account: [B, T, R]; valid: [B, T, 1 or R] bool."""
        if self.mode == "none":
            return
        real = reward[valid.expand_as(reward)].double()
        n = real.numel()
        if n == 0:
            return
        mean = real.mean().item()
        delta, total = mean - self.mean, self.count + n
        self.square_sum += ((real - mean) ** 2).sum().item() + delta**2 * self.count * n / total
        self.mean += delta * n / total
        self.count = total

    def scale(self, reward: Tensor) -> Tensor:
        """The scaled reward, same shape; the reward itself before the first update."""
        if self.mode == "none" or self.count == 0:
            return reward
        deviation = (self.square_sum / self.count) ** 0.5
        divisor = deviation if deviation > 1e-6 else 1.0
        centre = self.mean if self.mode == "meanstd" else 0.0
        return (reward - centre) / divisor

    def state_dict(self) -> dict[str, Any]:
        """The moments."""
        return {"count": self.count, "mean": self.mean, "square_sum": self.square_sum}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the moments."""
        self.count, self.mean, self.square_sum = state["count"], state["mean"], state["square_sum"]
