"""Proximal policy optimisation of teams: MAPPO, IPPO, AGP-PG; A2C with one epoch and one minibatch.

Sources: Schulman et al., arXiv 1707.06347; Yu et al., arXiv 2103.01955 (MAPPO); de Witt et al.,
arXiv 2011.09533 (IPPO). Papoudakis et al., arXiv 2006.07869 (IA2C, MAA2C); Gupta et al., arXiv
2602.17009 (AGP-PG). Which method it is depends on agents and critic alone.

Departures: advantages and targets are computed once per batch, and old log-probabilities are
recomputed rather than stored. Minibatches are of whole episodes, so that memories start at zero.
Time limits are bootstrapped. Padding and absent agents enter nothing. Values are not clipped.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from typing_extensions import override

from components.advantages import AdvantageEstimator, AdvantageSettings
from components.episode_batch import EpisodeBatch
from components.policies import Categorical
from components.settings import ExperienceSettings, TrainingSettings
from components.squashed_normal import SquashedNormal
from controllers.basic_controller import BasicController
from learners._on_policy import OnPolicyConfig, OnPolicyLearner, TargetedBatch
from learners.base import Details
from modules.critics.base import Critic
from utils.errors import UserError, out_of_range, validate
from utils.registry import LEARNERS


@dataclass(frozen=True)
class PPOLearnerConfig(AdvantageSettings, OnPolicyConfig):
    """Settings of `ppo_learner`."""

    epochs: int = 2  # passes over a batch, at least 1
    minibatches: int = 2  # parts of the episodes of a batch, one gradient step for each
    clip: float = 0.2  # how far the ratio of new to old probability may move from 1, above 0
    ratio: Literal["per_agent", "joint"] = "per_agent"  # of each action, or of the joint action

    def __post_init__(self) -> None:
        super().__post_init__()
        validate(
            *AdvantageSettings.problems(self),
            *out_of_range(self, 1, 10_000, "epochs", "minibatches"),
            (not self.clip > 0, "clip", f"{self.clip} must be above 0."),
        )


@dataclass(slots=True)
class PPOBatch(TargetedBatch):
    """Tensors that are computed once from episodes, before the gradient steps."""

    old_log_prob: Tensor = field(kw_only=True)  # [B, T, N], of the actions, 0 of absent agents
    advantage: Tensor = field(kw_only=True)  # [B, T, C]


@LEARNERS.register("ppo_learner", config=PPOLearnerConfig)
class PPOLearner(OnPolicyLearner):
    """Clipped surrogate, entropy bonus and squared error of the critic; arguments as above."""

    takes: ClassVar[tuple[str, ...]] = (
        *OnPolicyLearner.takes,
        "outputs given the actions of agents before",
    )
    trains: ClassVar[tuple[type, ...]] = (Categorical, SquashedNormal)
    critic_estimates: ClassVar[str] = "values of states"
    metric_descriptions: ClassVar[dict[str, str]] = {
        **OnPolicyLearner.metric_descriptions,
        "clip_fraction": "fraction of ratios outside the clipping range, last update",
        "approx_kl": "mean of ratio - 1 - log ratio, an estimate of KL(old, new), last update",
        "advantage_sd": "deviation of the last batch's advantages before they are normalised",
    }
    config: PPOLearnerConfig
    batch_class: ClassVar[type[TargetedBatch]] = PPOBatch

    def __init__(
        self,
        config: PPOLearnerConfig,
        settings: TrainingSettings,
        controller: BasicController,
        mixer: nn.Module,
        t_max: int,
        critic: Critic,
    ):
        super().__init__(config, settings, controller, mixer, t_max, critic)
        if config.ratio == "joint" and critic.n_values > 1:
            raise UserError(
                "learner_args.ratio=joint weighs one advantage of the team, and this critic gives "
                "one to each agent. Use critic=state_value and a team reward, or ratio=per_agent."
            )
        self.advantages = AdvantageEstimator(config, settings.gamma, self.device)
        self.stateful["moments"] = self.advantages

    @staticmethod
    def problems(config: PPOLearnerConfig, settings: ExperienceSettings) -> Iterable[str]:
        """Minibatches must divide the batch."""
        if settings.batch_size % config.minibatches:
            yield (
                f"learner_args.minibatches: {config.minibatches} parts do not divide the "
                f"{settings.batch_size} episodes of a batch. Use a divisor of batch_size, or "
                f"another batch_size."
            )

    @property
    @override
    def passes(self) -> tuple[int, int]:
        return self.config.epochs, self.config.minibatches

    @override
    def new_columns(self) -> dict[str, int]:
        n, c = self.controller.info.n_agents, self.critic.n_values
        return {"old_log_prob": n, "advantage": c, "target": c}

    @torch.no_grad()
    def prepare(self, batch: EpisodeBatch) -> PPOBatch:
        """Old log-probabilities, advantages and the critic's targets. Moves the value moments."""
        t = batch.n_steps
        inputs = self.agent_inputs(batch, t + self.controller.info.truncates)
        old_log_prob = self.log_prob(self.policies(inputs.window(0, t)), batch)  # [B, T, N]
        values = self.state_values(batch, inputs)  # [B, T or T+1, C]
        reward = self.reward_scaler.scale(batch.reward)
        mask = self.mask(values, batch)
        advantage, target = self.advantages.estimate(batch, reward, values, mask)  # [B, T, C]
        new = {"old_log_prob": old_log_prob, "advantage": advantage, "target": target}
        return PPOBatch(**dict(batch.items()), **new)

    def loss(self, batch: EpisodeBatch) -> tuple[Tensor, Details]:
        """- surrogate - weight x entropy + value_coef x error of the critic, of `prepare`'s."""
        assert isinstance(batch, PPOBatch)
        clip, advantage = self.config.clip, batch.advantage
        inputs = self.agent_inputs(batch, batch.n_steps)
        policy = self.policies(inputs)
        change = self.log_prob(policy, batch) - batch.old_log_prob  # [B, T, N]
        if self.config.ratio == "joint":
            change = change.sum(dim=2, keepdim=True)  # [B, T, 1]
        ratio = change.exp()
        clipped = ratio.clamp(1 - clip, 1 + clip)
        policy_loss = -self.mean(torch.minimum(ratio * advantage, clipped * advantage), batch)
        value_loss = self.mean((self.state_values(batch, inputs) - batch.target).square(), batch)
        loss, details = self.sum_of_losses(policy_loss, value_loss, policy, batch)
        ratio, change = ratio.detach(), change.detach()
        return loss, details | {
            "clip_fraction": lambda: self.mean(((ratio - 1).abs() > clip).float(), batch),
            "approx_kl": lambda: self.mean(ratio - 1 - change, batch),
            "advantage_sd": self.advantages.scaler.last_deviation,
        }
