"""How far a run has come, and its clocks, which count environment steps."""

from dataclasses import dataclass, field


@dataclass
class Counters:
    """How far a run has come, and at which step each of its clocks is due next."""

    env_steps: int = 0
    episodes: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    best_score: float = float("-inf")
    next_at: dict[str, int] = field(default_factory=lambda: {"test": 0, "log": 0, "checkpoint": 0})

    def is_due(self, clock: str, interval: int) -> bool:
        """Whether `clock` is due; if so, it is set to the next multiple of its interval."""
        if self.env_steps < self.next_at[clock]:
            return False
        self.next_at[clock] = (self.env_steps // interval + 1) * interval
        return True

    def set_intervals(self, **intervals: int) -> None:
        """Let clocks that are not due now follow intervals that a resumed run may have changed."""
        for clock, interval in intervals.items():
            if self.next_at[clock] > self.env_steps:
                self.next_at[clock] = (self.env_steps // interval + 1) * interval
