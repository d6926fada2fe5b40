"""Schedules: values that change with the number of environment steps."""

from dataclasses import dataclass
from typing import NamedTuple, overload

from torch import Tensor

Number = float | Tensor  # a number of the host, or a scalar on the device (env_steps: float64)


class Progress(NamedTuple):
    """How far a run has come."""

    env_steps: int
    episodes: int


@dataclass(frozen=True)
class LinearSchedule:
    """Straight line from `start` to `finish` over `anneal_time` environment steps."""

    start: float
    finish: float
    anneal_time: int

    @property
    def is_zero(self) -> bool:
        """Whether the value is zero at all times."""
        return self.start == self.finish == 0

    @overload
    def value(self, env_steps: float) -> float: ...

    @overload
    def value(self, env_steps: Number) -> Number: ...

    def value(self, env_steps: Number) -> Number:
        """The value after `env_steps` environment steps, on the device if that is a tensor."""
        if self.anneal_time <= 0:
            return self.finish
        fraction = env_steps / self.anneal_time
        fraction = fraction.clamp(max=1.0) if isinstance(fraction, Tensor) else min(1.0, fraction)
        return self.start + fraction * (self.finish - self.start)
