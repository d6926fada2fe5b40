"""Base class of learners: optimiser, clipping, target networks, guards, metrics, state.

A subclass writes `loss(batch)`. The scalar it returns is minimised; the functions beside it are
called only when a row of metrics is due.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from itertools import islice
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from components.buffers.replay import Replay
from components.episode_batch import EpisodeBatch
from components.policies import ActionValues
from components.reward_scaling import RewardScaler
from components.schedules import Number, Progress
from components.settings import ExperienceSettings, TrainingSettings
from learners._clocks import clocks_state, restored_clocks
from learners._optimiser import (
    clip_gradient,
    load_optimizer,
    make_optimizer,
    optimizer_state,
    parameter_groups,
    scale_learning_rates,
)
from learners._update_record import UpdateRecord
from modules.layers import flatten_weights
from utils.cuda_graphs import Captured

Details = dict[str, Callable[[], Tensor]]


class Learner(ABC):
    """Steps an optimiser on the loss of its subclass.

    Args:
        settings: discount, optimiser, target updates.
        online: the modules that are trained; `agent`, the controller's network, is what plays.
        t_max: environment steps of the whole run, for the learning rate's schedule.
        clip_groups: names of modules in `online`, grouped; each group's gradient is clipped by
            its norm. None: one norm for all. With the losses of different groups detached from each
            other, one step on their sum is then one step of an optimiser for each group.
    """

    metric_descriptions: ClassVar[dict[str, str]] = {
        "loss": "mean loss of the updates since the last row",
        "grad_norm": "mean global gradient norm before clipping, of the same updates",
        "lr": "learning rate of the last update",
    }

    takes: ClassVar[tuple[str, ...]] = ("outputs of each agent",)  # what its controller may give
    trains: ClassVar[tuple[type, ...]] = (ActionValues,)  # what its training makes of them
    uses_mixer: ClassVar[bool] = True  # false: rejects every mixer but `none`
    needs_team_reward: ClassVar[bool] = False  # true: rejects individual rewards
    needs_features: ClassVar[bool] = False  # whether its agent must have `features`
    mixes: ClassVar[str] = "values"  # what its mixer gets; a mixer of something else says so
    critic_estimates: ClassVar[str] = "nothing"  # what its critic must estimate
    learns_from: ClassVar[str] = Replay.gives  # what its buffer must give
    has_targets: ClassVar[bool] = True  # false: no target networks
    explores_by_policy: ClassVar[bool] = False  # true: rejects actions that no policy sampled

    def __init__(
        self,
        settings: TrainingSettings,
        online: nn.ModuleDict,
        t_max: int,
        clip_groups: tuple[tuple[str, ...], ...] | None = None,
    ):
        self.settings, self.online, self.t_max = settings, online, t_max
        self.env_steps: Number = 0  # environment steps so far, for schedules within the loss
        copied = online if self.has_targets else nn.ModuleDict()
        self.target = flatten_weights(copy.deepcopy(copied).requires_grad_(False))
        self._parameters = [p for p in online.parameters() if p.requires_grad]
        self.device = self._parameters[0].device
        self.reward_scaler = RewardScaler(settings.reward_scaling, self.device)
        self.stateful: dict[str, Any] = {"reward_scaler": self.reward_scaler}  # saved, by name
        self.updates = 0
        self._iterations = 0  # training iterations so far
        self._targets_at = 0
        self._record = UpdateRecord()
        self._lr_fraction = 1.0  # of the learning rates at the start
        self._captured_batch: EpisodeBatch | None = None  # where batches go for a CUDA graph
        self._graph: Captured[Tensor] | None = None
        self._details: Details = {}
        self._clipped = [
            [p for name in group for p in online[name].parameters() if p.requires_grad]
            for group in clip_groups or (tuple(online),)
        ]

    @staticmethod
    def problems(config: Any, settings: ExperienceSettings) -> Iterable[str]:
        """Conflicts between the learner's settings and those of the run, with remedies."""
        return ()

    def learning_rates(self) -> dict[str, float]:
        """Modules in `online` whose learning rate at the start is not `lr`."""
        return {}

    @cached_property
    def optimizer(self) -> torch.optim.Optimizer:
        """Built at the first update: PyTorch's optimisers take a second to import."""
        groups = parameter_groups(self.online, self.settings.lr, self.learning_rates())
        return make_optimizer(self.settings, groups, self.device)

    @property
    def generators(self) -> tuple[torch.Generator, ...]:
        """Sources of the random numbers that `loss` draws."""
        return ()

    def capture(self, batch: EpisodeBatch) -> None:
        """Make each gradient step one CUDA graph.

        Args:
            batch: memory that every batch to train on will be written into (`batch_memory`).
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

    def batch_memory(self, buffer: Any) -> EpisodeBatch:
        """Unset memory for the batch of one gradient step."""
        memory: EpisodeBatch = buffer.empty_batch(self.settings.batch_size)
        return memory

    def prepare(self, batch: EpisodeBatch) -> EpisodeBatch:
        """The argument of `train` and `loss`: episodes, and tensors that are computed only once."""
        return batch

    def update(self, buffer: Any, progress: Progress) -> None:
        """The gradient steps that newly collected episodes call for: here on replayed ones.

        Args:
            buffer: the run's buffer, of the kind that `learns_from` names.
            progress: how far the run has come.
        """
        s = self.settings
        due = progress.episodes // s.train_every_episodes - self._iterations
        self._iterations += due
        if buffer.n_episodes < s.batch_size:
            return
        for batch in islice(self.batches(buffer), due * s.updates_per_round):
            self.train(batch, *progress)

    def batches(self, buffer: Any) -> Iterator[EpisodeBatch]:
        """Batches for `train`, drawn from the buffer."""
        while True:
            yield self.prepare(buffer.sample(self.settings.batch_size, self._captured_batch))

    @property
    def plan(self) -> str:
        """How often it learns, and from how much, for people."""
        s = self.settings
        return (
            f"{s.updates_per_round} gradient step(s) of {s.batch_size} episodes per "
            f"{s.train_every_episodes} collected"
        )

    def train(self, batch: EpisodeBatch, env_steps: int, episodes: int) -> None:
        """One gradient step on `batch`; one that is not finite changes no weight.

        Nothing is read from the device; `require_finite` says whether all steps were finite.

        Args:
            batch: B episodes on the training device; after `capture`, those tensors.
            env_steps: environment steps so far.
            episodes: episodes collected so far.

        Raises:
            NumericalError: as `UpdateRecord.add`.
        """
        self._set_learning_rate(env_steps)
        if self._graph is None:
            outcome = self._gradient_step(batch, env_steps)
        else:
            assert batch is self._captured_batch, "the graph reads the batch given to `capture`"
            self._captured_clock.fill_(env_steps)
            outcome = self._graph().clone()
        self.updates += 1
        self._update_targets(episodes)
        self._record.add(self.updates, env_steps, outcome)

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
        row = self._record.means()
        if not row:
            return {}
        row["lr"] = self.settings.lr * self._lr_fraction
        return row | {name: detail().item() for name, detail in self._details.items()}

    def require_finite(self) -> None:
        """Raise `NumericalError` if an update was not finite; it has changed no weight."""
        self._record.require_finite()

    def _set_learning_rate(self, env_steps: int) -> None:
        if self.settings.lr_schedule == "linear":
            self._lr_fraction = max(0.0, 1.0 - env_steps / self.t_max)
            scale_learning_rates(self.optimizer, self._lr_fraction)

    def _update_targets(self, episodes: int) -> None:
        rule = self.settings.target_update
        now = episodes if rule.unit == "episodes" else self.updates
        if now - self._targets_at < rule.interval:
            return
        self._targets_at = now
        weight = 1.0 if rule.mode == "hard" else rule.tau
        targets: list[Tensor] = list(self.target.parameters())
        if targets:
            with torch.no_grad():
                torch._foreach_lerp_(targets, list(self.online.parameters()), weight)

    def load_weights(self, state: dict[str, Any]) -> None:
        """Start from a state's `online` weights, and its critic's units if it has them.

        Raises:
            RuntimeError: if the weights belong to another architecture.
        """
        self.online.load_state_dict(state["online"])
        if self.has_targets:
            self.target.load_state_dict(state["online"])
        if "moments" in self.stateful and "moments" in state:
            self.stateful["moments"].load_state_dict(state["moments"])

    def state_dict(self) -> dict[str, Any]:
        """Everything but the online weights' owner: weights, targets, optimiser, counters.

        Raises:
            NumericalError: as `require_finite`.
        """
        self.require_finite()
        return {
            "online": self.online.state_dict(),
            "target": self.target.state_dict(),
            "optimizer": optimizer_state(self.optimizer, self.settings, self._lr_fraction),
            **{name: part.state_dict() for name, part in self.stateful.items()},
            "updates": self.updates,
            **clocks_state(self.settings, self._iterations, self._targets_at),
            "sums": self._record.state_dict(),
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
        self._lr_fraction = load_optimizer(self.optimizer, state["optimizer"], self.settings)
        for name, part in self.stateful.items():
            part.load_state_dict(state[name])
        self.updates, clocks = state["updates"], restored_clocks(state, self.settings)
        self._iterations, self._targets_at = clocks
        self._record.load_state_dict(state["sums"])
        self._details = {name: value.clone for name, value in state["details"].items()}
