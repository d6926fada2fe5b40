"""Q-learning for IQL, VDN, QMIX, AGP and every method that mixes one chosen value per agent.

Source: Rashid et al., arXiv 1803.11485; Sunehag et al., arXiv 1706.05296; double Q: van Hasselt et
al., arXiv 1509.06461; lambda targets: Peng's Q(lambda), uncorrected. Targets are in
`components/returns.py`.

Departures from PyMARL: time limits are bootstrapped; padding enters nothing. Where the environment
promises that every episode ends by termination, no value after the last step is computed.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from typing_extensions import override

from components.episode_batch import EpisodeBatch
from components.masking import masked_mean, of_present, real_entries, taken
from components.policies import greedy_actions
from components.returns import lambda_returns
from components.settings import TrainingSettings
from controllers.basic_controller import BasicController
from learners._td_terms import TDTerms
from learners.base import Details, Learner
from utils.errors import UserError, validate
from utils.registry import LEARNERS


@dataclass(frozen=True)
class QLearnerConfig:
    """Settings of `q_learner`."""

    double_q: bool = True  # choose the next action by the online network, value it by the target
    td_lambda: float = 0.0  # lambda of the targets, in [0, 1]; 0: one-step

    def __post_init__(self) -> None:
        validate(
            (not 0 <= self.td_lambda <= 1, "td_lambda", f"{self.td_lambda} must lie in [0, 1].")
        )


@LEARNERS.register("q_learner", config=QLearnerConfig)
class QLearner(Learner):
    """Minimises the squared TD error of the mixed value over real steps.

    Args:
        config: settings.
        settings: discount, optimiser, target updates.
        controller: runs the agents' network.
        mixer: from q_taken [B, T, N] and state [B, T, S] to [B, T, 1] or [B, T, N].
        t_max: environment steps of the whole run.
        further: what a subclass trains besides agents and mixer, by name.
    """

    metric_descriptions: ClassVar[dict[str, str]] = {
        **Learner.metric_descriptions,
        "td_error_abs": "mean absolute TD error of the last update",
        "q_taken_mean": "mean mixed value of the actions taken, last update",
        "target_mean": "mean target of those values, last update",
    }

    def __init__(
        self,
        config: QLearnerConfig,
        settings: TrainingSettings,
        controller: BasicController,
        mixer: nn.Module,
        t_max: int,
        further: dict[str, nn.Module] | None = None,
    ):
        online = {"agent": controller.agent, "mixer": mixer} | (further or {})
        super().__init__(settings, nn.ModuleDict(online).to(controller.device), t_max)
        self.config, self.controller = config, controller
        self.bootstraps_last = controller.info.truncates

    @override
    def loss(self, batch: EpisodeBatch) -> tuple[Tensor, Details]:
        terms = self._td_terms(batch)
        return masked_mean(self.error_loss(terms.error), terms.mask), terms.details()

    def _td_terms(self, batch: EpisodeBatch) -> TDTerms:
        steps = slice(0, batch.n_steps)
        q = self._estimate(self.online, batch)  # [B, L, N, A]
        value = self._value(self.online, q[:, steps], batch.actions, batch, steps)  # [B, T, R]
        target = self._targets(batch, q.detach())  # [B, T, R]
        mask = real_entries(batch, value.shape[2] > 1, self.controller.info.fixed_length)
        return TDTerms(q, value, target, mask)

    def error_loss(self, td_error: Tensor) -> Tensor:
        """The loss of each error; a subclass may weigh errors. [B, T, R] -> the same."""
        return td_error.square()

    def _targets(self, batch: EpisodeBatch, q: Any) -> Tensor:
        """q: the online network's estimate of steps 0..L-1 -> [B, T, R]."""
        reward, t = self.reward_scaler.scale(batch.reward), batch.n_steps
        if t + self.bootstraps_last == 1:  # one-step games: the reward is the whole return
            return reward
        next_value = self._next_values(batch, q)
        if not self.bootstraps_last:  # nothing follows the last step
            next_value = nn.functional.pad(next_value, (0, 0, 0, 1))
        return lambda_returns(
            reward,
            next_value[:, :t],
            batch.terminated,
            batch.valid,
            self.settings.gamma,
            self.config.td_lambda,
        )

    @torch.no_grad()
    def _next_values(self, batch: EpisodeBatch, q: Any) -> Tensor:
        """Greedy values of steps 1..L-1 by the target networks, [B, L-1, R]."""
        after = slice(1, self._n_estimated(batch))
        q_target = self._estimate(self.target, batch)[:, after]
        chooser = q[:, after] if self.config.double_q else q_target
        best = self._greedy(chooser, batch.avail[:, after])  # [B, L-1, N]
        return self._value(self.target, q_target, best, batch, after)

    def _n_estimated(self, batch: EpisodeBatch) -> int:
        """L, steps that are estimated: T, or T+1 if the value after the last one is needed."""
        return batch.n_steps + self.bootstraps_last

    # A subclass may estimate something else than [B, L, N, A], by overriding these three. Its
    # estimate has `estimate[:, steps]` and `estimate.detach()`.

    def _estimate(self, networks: nn.ModuleDict, batch: EpisodeBatch) -> Any:
        """Values of every action at steps 0..L-1, L = T or T+1: [B, L, N, A]."""
        return self.controller.outputs(batch, self._n_estimated(batch), networks["agent"])

    def _greedy(self, estimate: Any, avail: Tensor) -> Tensor:
        """The best available joint actions: avail [B, L, N, A] -> [B, L, N]."""
        return greedy_actions(estimate, avail)

    def _value(
        self,
        networks: nn.ModuleDict,
        estimate: Any,
        actions: Tensor,
        batch: EpisodeBatch,
        steps: slice,
    ) -> Tensor:
        """Mixed values [B, L, R] of actions [B, L, N] at `steps`; the absent contribute nothing."""
        chosen = of_present(taken(estimate, actions), batch, steps)  # [B, L, N]
        mixed: Tensor = networks["mixer"](chosen, batch.state[:, steps])
        b, length, n = chosen.shape
        if list(mixed.shape) not in ([b, length, 1], [b, length, n]):
            raise UserError(
                f"{type(networks['mixer']).__name__}: forward must return the team's value "
                f"[B, L, 1]={[b, length, 1]}, or one for each agent [B, L, N]={[b, length, n]}, "
                f"but returned {list(mixed.shape)}."
            )
        return mixed
