"""Schedules: values that change with the number of environment steps."""

from dataclasses import dataclass


@dataclass(frozen=True)
class LinearSchedule:
    """Straight line from `start` to `finish` over `anneal_time` environment steps."""

    start: float
    finish: float
    anneal_time: int

    def value(self, env_steps: int) -> float:
        """The value after `env_steps` environment steps."""
        if self.anneal_time <= 0:
            return self.finish
        fraction = min(1.0, env_steps / self.anneal_time)
        return self.start + fraction * (self.finish - self.start)
