"""What every learner shares: optimiser, clipping, target networks, guards, metrics, state.

A subclass writes `loss(batch)`. The scalar it returns is minimised; the functions beside it are
called only when a row of metrics is due.
"""

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from components.episode_batch import EpisodeBatch
from components.reward_scaling import RewardScaler
from components.settings import TrainingSettings
from utils.errors import NumericalError

Details = dict[str, Callable[[], Tensor]]


class Learner(ABC):
    """Steps an optimiser on the loss of its subclass.

    Args:
        settings: discount, optimiser, target updates.
        online: the modules that are trained.
        t_max: environment steps of the whole run, for the learning rate's schedule.
        clip_apart: names of modules in `online`, grouped; each group's gradient is clipped by its
            own norm. None: one norm for all. With the losses of different groups detached from each
            other, one step on their sum is then one step of an optimiser for each group.
    """

    metric_descriptions: ClassVar[dict[str, str]] = {
        "loss": "mean loss of the updates since the last row",
        "grad_norm": "mean global gradient norm before clipping, of the same updates",
        "lr": "learning rate of the last update",
    }

    takes: ClassVar[tuple[str, ...]] = ("action values",)  # what its controller may give
    uses_mixer: ClassVar[bool] = True  # false: refuses every mixer but `none`
    needs_team_reward: ClassVar[bool] = False  # true: refuses individual rewards
    needs_features: ClassVar[bool] = False  # whether its agent must have `features`
    mixes: ClassVar[str] = "values"  # what its mixer gets; a mixer of something else says so

    def __init__(
        self,
        settings: TrainingSettings,
        online: nn.ModuleDict,
        t_max: int,
        clip_apart: tuple[tuple[str, ...], ...] | None = None,
    ):
        self.settings, self.online, self.t_max = settings, online, t_max
        self.env_steps = 0  # environment steps so far, for schedules within the loss
        self.target = copy.deepcopy(online).requires_grad_(False)
        self.reward_scaler = RewardScaler(settings.reward_scaling)
        self.updates = 0
        self._targets_at = 0
        self._sums = {"n": 0.0, "loss": 0.0, "grad_norm": 0.0}
        self._details: Details = {}
        self._parameters = [p for p in online.parameters() if p.requires_grad]
        self._clipped = [
            [p for name in group for p in online[name].parameters() if p.requires_grad]
            for group in clip_apart or (tuple(online),)
        ]

    @cached_property
    def optimizer(self) -> torch.optim.Optimizer:
        """Built at the first update: PyTorch's optimisers take a second to import."""
        s = self.settings
        if s.optimizer == "adam":
            return torch.optim.Adam(self._parameters, lr=s.lr, eps=s.optim_eps, fused=True)
        return torch.optim.RMSprop(
            self._parameters, lr=s.lr, alpha=s.optim_alpha, eps=s.optim_eps, foreach=True
        )

    @abstractmethod
    def loss(self, batch: EpisodeBatch) -> tuple[Tensor, Details]:
        """The scalar to minimise, and further metrics as functions without arguments."""

    def observe(self, batch: EpisodeBatch) -> None:
        """Take newly collected episodes into account, before they are replayed."""
        real = batch.valid
        if batch.is_active is not None and batch.reward.shape[2] > 1:
            real = real & batch.is_active[:, : batch.n_steps]
        self.reward_scaler.update(batch.reward, real)

    def train(self, batch: EpisodeBatch, env_steps: int, episodes: int) -> None:
        """One gradient step on `batch`.

        Args:
            batch: B episodes on the training device.
            env_steps: environment steps so far.
            episodes: episodes collected so far.

        Raises:
            NumericalError: if the loss or the gradient is not finite; weights stay as they were.
        """
        self.env_steps = env_steps
        loss, self._details = self.loss(batch)
        loss_value = self._finite("loss", loss, env_steps)
        optimizer = self.optimizer
        self._set_learning_rate(env_steps)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        clip = self.settings.grad_norm_clip
        norms = [nn.utils.clip_grad_norm_(group, clip) for group in self._clipped]
        norm = norms[0] if len(norms) == 1 else torch.stack(norms).norm()
        self._sums["grad_norm"] += self._finite("gradient norm", norm, env_steps)
        self._sums["loss"] += loss_value
        self._sums["n"] += 1
        optimizer.step()
        self.updates += 1
        self._update_targets(episodes)

    def metrics(self) -> dict[str, float]:
        """Metrics of the updates since the last call; empty if there were none."""
        n = self._sums["n"]
        if n == 0:
            return {}
        row = {"loss": self._sums["loss"] / n, "grad_norm": self._sums["grad_norm"] / n}
        row["lr"] = self.optimizer.param_groups[0]["lr"]
        row |= {name: detail().item() for name, detail in self._details.items()}
        self._sums = dict.fromkeys(self._sums, 0.0)
        return row

    def _finite(self, name: str, value: Tensor, env_steps: int) -> float:
        number = value.item()
        if not math.isfinite(number):
            raise NumericalError(
                f"The {name} is {number} at update {self.updates + 1} (environment step "
                f"{env_steps}). Training stopped; the last checkpoint holds finite weights. "
                f"Lower lr or grad_norm_clip, or look at the environment's rewards."
            )
        return number

    def _set_learning_rate(self, env_steps: int) -> None:
        if self.settings.lr_schedule == "linear":
            left = max(0.0, 1.0 - env_steps / self.t_max)
            for group in self.optimizer.param_groups:
                group["lr"] = self.settings.lr * left

    def _update_targets(self, episodes: int) -> None:
        rule = self.settings.target_update
        now = episodes if rule.unit == "episodes" else self.updates
        if now - self._targets_at < rule.interval:
            return
        self._targets_at = now
        with torch.no_grad():
            weight = 1.0 if rule.mode == "hard" else rule.tau
            pairs = list(zip(self.target.parameters(), self.online.parameters(), strict=True))
            if pairs:
                torch._foreach_lerp_([t for t, _ in pairs], [o for _, o in pairs], weight)

    def state_dict(self) -> dict[str, Any]:
        """Everything but the online weights' owner: weights, targets, optimiser, counters."""
        return {
            "online": self.online.state_dict(),
            "target": self.target.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "optimizer_name": self.settings.optimizer,
            "reward_scaler": self.reward_scaler.state_dict(),
            "updates": self.updates,
            "targets_at": self._targets_at,
            "sums": dict(self._sums),
            "details": {name: detail().detach() for name, detail in self._details.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned.

        Raises:
            RuntimeError: if the weights belong to another architecture.
            ValueError: if the state belongs to another optimiser.
        """
        self.online.load_state_dict(state["online"])
        self.target.load_state_dict(state["target"])
        self._load_optimizer(state)
        self.reward_scaler.load_state_dict(state["reward_scaler"])
        self.updates, self._targets_at = state["updates"], state["targets_at"]
        self._sums = dict(state["sums"])
        self._details = {name: value.clone for name, value in state["details"].items()}

    def _load_optimizer(self, state: dict[str, Any]) -> None:
        """Moments from the state; learning rate and constants from the settings."""
        s = self.settings
        if state["optimizer_name"] != s.optimizer:
            raise ValueError(
                f"it was trained with optimizer={state['optimizer_name']}, not {s.optimizer}"
            )
        constants = {"eps": s.optim_eps}
        if s.optimizer == "rmsprop":
            constants["alpha"] = s.optim_alpha
        if s.lr_schedule == "constant":  # `linear` sets it before each update
            constants["lr"] = s.lr
        self.optimizer.load_state_dict(state["optimizer"])
        for group in self.optimizer.param_groups:
            group.update(constants)


def taken(x: Tensor, actions: Tensor) -> Tensor:
    """Entries of x [B, L, N, A] at the actions [B, L, N] -> [B, L, N]."""
    return x.gather(3, actions.unsqueeze(3)).squeeze(3)


def of_present(x: Tensor, batch: EpisodeBatch, steps: slice) -> Tensor:
    """Values [B, L, N] at `steps` of the batch, zero for agents that take no part."""
    return x if batch.is_active is None else torch.where(batch.is_active[:, steps], x, 0.0)


def real_entries(batch: EpisodeBatch, per_agent: bool, fixed_length: bool) -> Tensor | None:
    """Which steps, or agents at steps, count: [B, T, 1] or [B, T, N] bool; None: all."""
    if batch.is_active is not None and per_agent:
        return batch.valid & batch.is_active[:, : batch.n_steps]
    return None if fixed_length else batch.valid


def masked_mean(x: Tensor, mask: Tensor | None) -> Tensor:
    """Mean of x [B, T, R] where `mask` (bool, broadcastable) is true; None: everywhere."""
    if mask is None:
        return x.mean()
    weight = mask.expand_as(x)
    return torch.where(weight, x, 0.0).sum() / weight.sum()
