"""What every learner shares: optimiser, clipping, target networks, guards, metrics, state.

A subclass writes `loss(batch)`. The scalar it returns is minimised; the functions beside it are
called only when a row of metrics is due.
"""

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property
from itertools import count
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from components.episode_batch import EpisodeBatch
from components.reward_scaling import RewardScaler
from components.schedules import Number
from components.settings import TrainingSettings
from modules.layers import flatten_weights
from utils.cuda_graphs import Captured
from utils.errors import NumericalError

Details = dict[str, Callable[[], Tensor]]

MOST_UNREAD = 1024  # updates whose loss stays on the device before it is read


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
    mixes: ClassVar[str] = "values"  # what its mixer gets; a mixer of something else says so

    def __init__(
        self,
        settings: TrainingSettings,
        online: nn.ModuleDict,
        t_max: int,
        clip_apart: tuple[tuple[str, ...], ...] | None = None,
    ):
        self.settings, self.online, self.t_max = settings, online, t_max
        self.env_steps: Number = 0  # environment steps so far, for schedules within the loss
        self.target = flatten_weights(copy.deepcopy(online).requires_grad_(False))
        self._parameters = [p for p in online.parameters() if p.requires_grad]
        self.device = self._parameters[0].device
        self.reward_scaler = RewardScaler(settings.reward_scaling, self.device)
        self.updates = 0
        self._targets_at = 0
        self._sums = {"n": 0.0, "loss": 0.0, "grad_norm": 0.0}
        self._unread: list[tuple[int, Tensor]] = []  # env_steps; loss and gradient norm [2]
        self._lr = settings.lr
        self._graph: Captured[Tensor] | None = None
        self._details: Details = {}
        self._clipped = [
            [p for name in group for p in online[name].parameters() if p.requires_grad]
            for group in clip_apart or (tuple(online),)
        ]

    @cached_property
    def optimizer(self) -> torch.optim.Optimizer:
        """Built at the first update: PyTorch's optimisers take a second to import."""
        s, on_gpu = self.settings, self.device.type == "cuda"
        lr = torch.tensor(self._lr, device=self.device) if on_gpu else self._lr  # a graph reads it
        if s.optimizer == "adam":
            return torch.optim.Adam(
                self._parameters, lr=lr, eps=s.optim_eps, fused=True, capturable=on_gpu
            )
        return torch.optim.RMSprop(
            self._parameters,
            lr=lr,
            alpha=s.optim_alpha,
            eps=s.optim_eps,
            foreach=True,
            capturable=on_gpu,
        )

    @property
    def generators(self) -> tuple[torch.Generator, ...]:
        """Sources of the random numbers that `loss` draws."""
        return ()

    def capture(self, batch: EpisodeBatch) -> None:
        """Make each gradient step one CUDA graph.

        Args:
            batch: the tensors that every batch to train on will be written into.
        """
        clock = torch.zeros((), dtype=torch.float64, device=self.device)
        self._captured_batch, self._captured_clock = batch, clock
        self._graph = Captured(lambda: self._gradient_step(batch, clock), self.generators)

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
        """One gradient step on `batch`; one that is not finite changes no weight.

        Nothing is read from the device; `require_finite` says whether all steps were finite.

        Args:
            batch: B episodes on the training device; after `capture`, those tensors.
            env_steps: environment steps so far.
            episodes: episodes collected so far.

        Raises:
            NumericalError: as `require_finite`, which is called after `MOST_UNREAD` updates.
        """
        self._set_learning_rate(env_steps)
        if self._graph is None:
            outcome = self._gradient_step(batch, env_steps)
        else:
            assert batch is self._captured_batch, "the graph reads the batch given to `capture`"
            self._captured_clock.fill_(env_steps)
            outcome = self._graph().clone()
        self._unread.append((env_steps, outcome))
        self.updates += 1
        self._update_targets(episodes)
        if len(self._unread) == MOST_UNREAD:
            self.require_finite()

    def _gradient_step(self, batch: EpisodeBatch, env_steps: Number) -> Tensor:
        """Step the optimiser; returns loss and gradient norm, [2]."""
        self.env_steps = env_steps
        loss, self._details = self.loss(batch)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norms = [clip_gradient(group, self.settings.grad_norm_clip) for group in self._clipped]
        norm = norms[0] if len(norms) == 1 else torch.stack(norms).norm()
        outcome = torch.stack((loss.detach(), norm))
        self._step_if_finite(outcome)
        return outcome

    def _step_if_finite(self, outcome: Tensor) -> None:
        """Step the optimiser unless a number of `outcome` is infinite or NaN."""
        is_bad = outcome.sum().mul_(0).ne_(0)  # 0 or 1: zero times such a number is NaN
        if self.settings.optimizer == "adam":
            self.optimizer.found_inf = is_bad  # type: ignore[attr-defined] # 1: it does nothing
        else:  # without a gradient RMSprop moves no weight
            for parameter in self._parameters:
                if parameter.grad is not None:
                    parameter.grad.masked_fill_(is_bad.bool(), 0.0)
        self.optimizer.step()

    def metrics(self) -> dict[str, float]:
        """Metrics of the updates since the last call; empty if there were none.

        Raises:
            NumericalError: as `require_finite`.
        """
        self.require_finite()
        n = self._sums["n"]
        if n == 0:
            return {}
        row = {"loss": self._sums["loss"] / n, "grad_norm": self._sums["grad_norm"] / n}
        row["lr"] = self._lr
        row |= {name: detail().item() for name, detail in self._details.items()}
        self._sums = dict.fromkeys(self._sums, 0.0)
        return row

    def require_finite(self) -> None:
        """Read loss and gradient norm of the updates since the last call.

        Raises:
            NumericalError: if one was not finite; that update changed no weight.
        """
        if not self._unread:
            return
        first = self.updates - len(self._unread) + 1
        rows = torch.stack([outcome for _, outcome in self._unread]).tolist()
        for update, (env_steps, _), row in zip(count(first), self._unread, rows, strict=False):
            for name, value in zip(("loss", "grad_norm"), row, strict=True):
                _require_finite(name.replace("grad_", "gradient "), value, update, env_steps)
                self._sums[name] += value
            self._sums["n"] += 1
        self._unread = []

    def _set_learning_rate(self, env_steps: int) -> None:
        if self.settings.lr_schedule == "linear":
            self._apply_learning_rate(self.settings.lr * max(0.0, 1.0 - env_steps / self.t_max))

    def _apply_learning_rate(self, value: float) -> None:
        self._lr = value
        for group in self.optimizer.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(value)
            else:
                group["lr"] = value

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
        """Everything but the online weights' owner: weights, targets, optimiser, counters.

        Raises:
            NumericalError: as `require_finite`.
        """
        self.require_finite()
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
        saved = state["optimizer"]
        groups = [
            {**group, "params": old["params"]}
            for group, old in zip(self.optimizer.param_groups, saved["param_groups"], strict=True)
        ]
        self.optimizer.load_state_dict({"state": saved["state"], "param_groups": groups})
        if s.lr_schedule == "linear":  # of the last update
            self._apply_learning_rate(float(saved["param_groups"][0]["lr"]))


def _require_finite(name: str, value: float, update: int, env_steps: int) -> None:
    """Raise `NumericalError` if `value` is infinite or NaN."""
    if not math.isfinite(value):
        raise NumericalError(
            f"The {name} is {value} at update {update} (environment step {env_steps}). Training "
            f"stopped; the last checkpoint holds finite weights. Lower lr or grad_norm_clip, or "
            f"look at the environment's rewards."
        )


def clip_gradient(parameters: list[nn.Parameter], largest: float) -> Tensor:
    """Shorten the gradient of `parameters` to the norm `largest`; returns its norm before.

    As `nn.utils.clip_grad_norm_`, without the search for devices and types, half of its time.
    """
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
    torch._foreach_mul_(gradients, (largest / (norm + 1e-6)).clamp(max=1.0))
    return norm


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
