"""Run-wide settings that several components share, under the names that PyMARL gave them.

They stand at the top level of the configuration (`with lr=1e-3`), because an environment's YAML
sets them for every method alike. Settings of one component only stand in that component's file.
"""

from dataclasses import dataclass, field
from typing import Literal

from utils.errors import LARGEST_LAYER, out_of_range, unread, validate

Cases = tuple[tuple[bool, str, str], ...]  # see `validate`


@dataclass(frozen=True)
class AgentSettings:
    """Agents of every method: what their input holds besides the observation, width, memory."""

    obs_agent_id: bool = True  # append the agent's index as a one-hot vector
    obs_last_action: bool = False  # append the agent's last action as a one-hot vector, zero at t=0
    hidden_dim: int = 64  # H, units of the hidden layers and the GRU of an agent network
    use_rnn: Literal["auto", True, False] = (
        "auto"  # whether agents have a GRU; auto: if they can and episodes can have several steps
    )

    def remembers(self, episode_limit: int) -> bool:
        """Whether agents have a GRU where episodes have at most `episode_limit` steps."""
        return episode_limit > 1 if self.use_rnn == "auto" else bool(self.use_rnn)

    def __post_init__(self) -> None:
        validate(*AgentSettings.problems(self))

    def problems(self) -> Cases:
        """Cases for `validate`: settings out of range."""
        return tuple(out_of_range(self, 1, LARGEST_LAYER, "hidden_dim"))


@dataclass(frozen=True)
class ExplorationSettings:
    """Exploration that is the same for every method on a task."""

    epsilon_anneal_time: int = (
        50_000  # environment steps over which an action selector's epsilon falls linearly
    )

    def __post_init__(self) -> None:
        validate(*ExplorationSettings.problems(self))

    def problems(self) -> Cases:
        """Cases for `validate`: settings out of range."""
        return tuple(out_of_range(self, 0, 10**15, "epsilon_anneal_time"))


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
        validate(
            (self.interval < 1, "interval", f"{self.interval} must be at least 1."),
            (not 0 < self.tau <= 1, "tau", f"{self.tau} must lie in (0, 1]."),
            *unread(self, self.mode == "soft", "target_update.mode=soft", "tau"),
        )


@dataclass(frozen=True)
class ExperienceSettings:
    """How many episodes are collected, kept and learnt from, and in what proportion."""

    batch_size_run: int = 8  # episodes collected at once, in lockstep
    batch_size: int = 32  # episodes in a training batch; with buffer=rollout those of an update
    buffer_size: int = 5_000  # episodes kept; only buffer=replay reads this and the next two
    train_every_episodes: int = 1  # collected episodes between two training iterations
    updates_per_round: int = 1  # gradient steps in a training iteration

    def __post_init__(self) -> None:
        validate(*ExperienceSettings.problems(self))

    def problems(self) -> Cases:
        """Cases for `validate`: settings out of range."""
        return tuple(
            out_of_range(
                self,
                1,
                10**15,
                "batch_size_run",
                "batch_size",
                "buffer_size",
                "train_every_episodes",
                "updates_per_round",
            )
        )


@dataclass(frozen=True)
class TrainingSettings(ExperienceSettings):
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
        validate(*ExperienceSettings.problems(self), *TrainingSettings.problems(self))

    def problems(self) -> Cases:
        """Cases for `validate`: settings out of range or without effect."""
        return (
            (not 0 <= self.gamma <= 1, "gamma", f"{self.gamma} must lie in [0, 1]."),
            (not self.lr > 0, "lr", f"{self.lr} must be above 0."),
            (
                not 0 <= self.optim_alpha < 1,
                "optim_alpha",
                f"{self.optim_alpha} must lie in [0, 1).",
            ),
            *unread(self, self.optimizer == "rmsprop", "optimizer=rmsprop", "optim_alpha"),
            (not self.optim_eps >= 0, "optim_eps", f"{self.optim_eps} must not be negative."),
            (
                not self.grad_norm_clip > 0,
                "grad_norm_clip",
                f"{self.grad_norm_clip} must be above 0.",
            ),
        )
