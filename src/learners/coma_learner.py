"""COMA: actors whose advantage is counterfactual, what an action did against the agent's others.

Source: Foerster et al., *Counterfactual Multi-Agent Policy Gradients*, AAAI 2018, arXiv 1705.08926.
The critic learns Q_i(s, x_i, u_-i, u_i) by TD(lambda) with a target network; agent i's advantage is
A_i = Q_i(u_i) - sum_a pi_i(a) Q_i(a), the actions of the others fixed.

Departures from PyMARL: the critic learns whole episodes at once, `critic_epochs` times, instead of
one step of time at a time, backwards. After an episode's last step, where no action was taken, a
sampled one is valued. Time limits are bootstrapped. The entropy's weight is a schedule.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from components.episode_batch import EpisodeBatch
from components.masking import of_present, taken
from components.policies import Categorical
from components.returns import lambda_returns
from learners._on_policy import OnPolicyConfig, OnPolicyLearner, TargetedBatch
from learners.base import Details
from modules.critics.base import CriticInputs
from utils.errors import out_of_range, validate
from utils.registry import LEARNERS


@dataclass(frozen=True)
class COMALearnerConfig(OnPolicyConfig):
    """Settings of `coma_learner`."""

    td_lambda: float = 0.8  # lambda of the critic's targets, in [0, 1]
    critic_epochs: int = 1  # gradient steps of the critic on a batch, actors join the last

    def __post_init__(self) -> None:
        super().__post_init__()
        validate(
            (not 0 <= self.td_lambda <= 1, "td_lambda", f"{self.td_lambda} is not in [0, 1]."),
            *out_of_range(self, 1, 10_000, "critic_epochs"),
        )


@LEARNERS.register("coma_learner", config=COMALearnerConfig)
class COMALearner(OnPolicyLearner):
    """Counterfactual policy gradient, entropy bonus and squared TD error of the critic."""

    critic_estimates: ClassVar[str] = "values of actions"
    has_targets: ClassVar[bool] = True
    metric_descriptions: ClassVar[dict[str, str]] = {
        **OnPolicyLearner.metric_descriptions,
        "advantage_abs": "mean absolute counterfactual advantage, last update",
        "q_taken_mean": "mean value of the actions taken, last update",
    }
    config: COMALearnerConfig
    _actors_learn = True  # in the gradient step under way

    @property
    @override
    def passes(self) -> tuple[int, int]:
        return self.config.critic_epochs, 1

    @override
    def new_columns(self) -> dict[str, int]:
        return {"target": self.controller.info.n_agents}

    def capture(self, batch: EpisodeBatch) -> None:
        """With several epochs gradient steps differ, so they are no CUDA graph."""
        if self.config.critic_epochs == 1:
            super().capture(batch)

    @override
    def batches(self, buffer: Any) -> Iterator[EpisodeBatch]:
        for epoch, batch in enumerate(super().batches(buffer), 1):
            self._actors_learn = epoch == self.config.critic_epochs
            yield batch

    @torch.no_grad()
    def prepare(self, batch: EpisodeBatch) -> TargetedBatch:
        """The critic's targets: lambda returns of the target network's values of actions taken."""
        t, has_next = batch.n_steps, self.controller.info.truncates
        actions = batch.actions
        if has_next:  # where no action was taken a sampled one stands for it
            policy = self.policies(self.agent_inputs(batch, t + 1))
            sampled = policy.actions_of(self.noise_of(policy))  # [B, T+1, N]
            was_taken, past = (functional.pad(x, (0, 0, 0, 1)) for x in (batch.valid, actions))
            actions = torch.where(was_taken, past, sampled)
        steps = slice(0, t + has_next)
        values = taken(self._values(self.target["critic"], batch, actions), actions)  # [B, L, N]
        next_value = of_present(values, batch, steps)[:, 1:]
        if not has_next:  # nothing follows the last step
            next_value = functional.pad(next_value, (0, 0, 0, 1))
        target = lambda_returns(
            self.reward_scaler.scale(batch.reward),
            next_value,
            batch.terminated,
            batch.valid,
            self.settings.gamma,
            self.config.td_lambda,
        )
        return TargetedBatch(**dict(batch.items()), target=target)

    def loss(self, batch: EpisodeBatch) -> tuple[Tensor, Details]:
        """- mean A log pi - weight x entropy + value_coef x squared TD error, of `prepare`'s."""
        assert isinstance(batch, TargetedBatch)
        policy = self.policies(self.agent_inputs(batch, batch.n_steps))
        assert isinstance(policy, Categorical)
        q = self._values(self.critic, batch, batch.actions)  # [B, T, N, A]
        q_taken = taken(q, batch.actions)  # [B, T, N]
        advantage = (q_taken - (policy.log_probs.exp() * q).sum(dim=3)).detach()  # [B, T, N]
        policy_loss = -self.mean(advantage * self.log_prob(policy, batch), batch)
        value_loss = self.mean((q_taken - batch.target).square(), batch)
        loss, details = self.sum_of_losses(policy_loss, value_loss, policy, batch)
        if not self._actors_learn:
            loss = self.config.value_coef * value_loss
        q_taken = q_taken.detach()
        return loss, details | {
            "advantage_abs": lambda: self.mean(advantage.abs(), batch),
            "q_taken_mean": lambda: self.mean(q_taken, batch),
        }

    def _values(self, critic: nn.Module, batch: EpisodeBatch, actions: Tensor) -> Tensor:
        """Values [B, L, N, A] of each agent's actions, the others acting as actions [B, L, N]."""
        length = actions.shape[1]
        inputs = self.controller.agent_inputs(batch, length)
        state = batch.state[:, :length]
        values: Tensor = critic(CriticInputs(state, inputs.x, actions, inputs.is_active))
        return values
