"""Terms of the losses of Q-learners: values, targets, and which of them count."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from components.masking import masked_mean
from learners.base import Details


@dataclass(frozen=True)
class TDTerms:
    """The terms of a loss of TD errors."""

    estimate: Any  # of steps 0..L-1: `QLearner._estimate`, or what a subclass's loss reads
    value: Tensor  # [B, T, R], of the actions taken
    target: Tensor  # [B, T, R] or [B, T, 1], without gradient
    mask: Tensor | None  # which entries count, see `real_entries`

    @property
    def error(self) -> Tensor:
        """TD errors, [B, T, R]."""
        return self.value - self.target

    def details(self) -> Details:
        """The metrics of `QLearner`."""
        value, target, mask = self.value.detach(), self.target, self.mask
        return {
            "td_error_abs": lambda: masked_mean((value - target).abs(), mask),
            "q_taken_mean": lambda: masked_mean(value, mask),
            "target_mean": lambda: masked_mean(target.expand_as(value), mask),
        }
