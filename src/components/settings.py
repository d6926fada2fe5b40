"""Run-wide settings that several components share, under the names that PyMARL gave them.

They stand at the top level of the configuration (`with lr=1e-3`), because an environment's YAML
sets them for every method alike. Settings of one component only stand in that component's own file.
"""

from dataclasses import dataclass, field
from typing import Literal

from utils.errors import refuse


@dataclass(frozen=True)
class InputSettings:
    """What an agent's input holds besides its observation."""

    obs_agent_id: bool = True  # append the agent's index as a one-hot vector
    obs_last_action: bool = False  # append the agent's last action as a one-hot vector, zero at t=0


@dataclass(frozen=True)
class TargetUpdate:
    """When and how the target networks follow the online networks."""

    mode: Literal["hard", "soft"] = (
        "hard"  # hard: copy; soft: move by `tau` towards the online weights
    )
    interval: int = 200  # between two target updates, in `unit`s, at least 1
    unit: Literal["episodes", "updates"] = (
        "episodes"  # collected episodes (PyMARL) or gradient steps
    )
    tau: float = 0.005  # soft only: fraction of the way, in (0, 1]

    def __post_init__(self) -> None:
        refuse(
            (self.interval < 1, "interval", f"{self.interval} must be at least 1."),
            (not 0 < self.tau <= 1, "tau", f"{self.tau} must lie in (0, 1]."),
        )


@dataclass(frozen=True)
class TrainingSettings:
    """Discounting, optimiser and targets, the same for every learner."""

    gamma: float = 0.99  # discount per environment step, in [0, 1]
    lr: float = 5e-4  # learning rate at the start
    lr_schedule: Literal["constant", "linear"] = "constant"  # linear: down to zero at t_max
    optimizer: Literal["adam", "rmsprop"] = "adam"  # PyMARL's own default was rmsprop
    optim_alpha: float = 0.99  # rmsprop only: smoothing constant, in [0, 1)
    optim_eps: float = 1e-8  # added to the denominator; PyMARL's rmsprop used 1e-5
    grad_norm_clip: float = 10.0  # largest global gradient norm, above 0
    reward_scaling: Literal["none", "std", "meanstd"] = (
        "none"  # by statistics of all collected steps
    )
    target_update: TargetUpdate = field(default_factory=TargetUpdate)

    def __post_init__(self) -> None:
        refuse(*self.problems())

    def problems(self) -> tuple[tuple[bool, str, str], ...]:
        """Cases for `refuse`, so that a class built on this one can add its own."""
        return (
            (not 0 <= self.gamma <= 1, "gamma", f"{self.gamma} must lie in [0, 1]."),
            (not self.lr > 0, "lr", f"{self.lr} must be above 0."),
            (
                not 0 <= self.optim_alpha < 1,
                "optim_alpha",
                f"{self.optim_alpha} must lie in [0, 1).",
            ),
            (not self.optim_eps >= 0, "optim_eps", f"{self.optim_eps} must not be negative."),
            (
                not self.grad_norm_clip > 0,
                "grad_norm_clip",
                f"{self.grad_norm_clip} must be above 0.",
            ),
        )
