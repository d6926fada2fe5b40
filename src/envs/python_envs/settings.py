"""Settings of every environment of another library."""

from dataclasses import dataclass, field
from typing import Literal

from utils.errors import out_of_range, validate


@dataclass(frozen=True)
class PythonEnvSettings:
    """Settings that all of them share."""

    n_workers: int = 0  # processes that step the environments, at most one each; 0: this process
    timeout: float = 60.0  # seconds a worker may take for one step of its environments; 0: no limit
    on_worker_error: Literal["raise", "restart"] = (
        "raise"  # restart: drop the episodes of a worker that fails, and start a new one
    )
    max_restarts: int = 20  # of all workers together since the run was started; then it ends
    time_limit: int = 0  # steps after which an episode is truncated; 0: the environment's own limit
    state: Literal["concat", "env"] = "concat"  # padded observations in a row, or the env's own
    varying_team: bool = True  # agents may leave early; false is faster, and an error if one does
    action_masks: bool = (
        True  # masks may exclude actions; false is faster, and an error if one does
    )
    fixed_length: bool = False  # every episode lasts to the limit; true is faster, if it is so
    rebuild: bool = False  # build a new environment for each episode: for one that keeps state
    metrics: dict[str, str] = field(
        default_factory=dict
    )  # {entry of the last info: its meaning}, logged for each episode

    def __post_init__(self) -> None:
        validate(*self.problems())

    def problems(self) -> list[tuple[bool, str, str]]:
        """For `validate`: (is it wrong, setting, sentence)."""
        return [
            *out_of_range(self, 0, 1_000, "n_workers"),
            *out_of_range(self, 0, 1_000_000, "time_limit", "max_restarts"),
            (self.timeout < 0, "timeout", f"{self.timeout} must not be negative."),
            (
                self.on_worker_error == "restart" and self.n_workers == 0,
                "on_worker_error",
                "'restart' needs workers to restart. Write n_workers=1, or more, or "
                "on_worker_error=raise.",
            ),
        ]
