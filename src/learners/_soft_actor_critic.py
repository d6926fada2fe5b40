"""Base class of soft actor-critics of teams: temperature, samples, targets, actors' losses.

Sources: Haarnoja et al., arXiv 1801.01290; discrete actions: Christodoulou, arXiv 1910.07207; teams
of agents with mixed critics: Zhang et al., ICML 2021 (FOP), Wang et al., arXiv 2209.12681 (MACPF).

Critics have the form and the inputs of the actor. All losses are summed and
minimised in one step. Values are detached in the actors' losses, and samples and targets carry no
gradient. So each parameter gets the gradient of one loss only. As gradients are clipped group by
group, the step equals that of one optimiser for each group.

Departures from both papers' code:
* the actor's and the critics' steps are simultaneous: targets sample the policy before its step;
* unavailable actions enter no soft value (`components/policies.py`);
* lambda returns start at each episode's own last step (`components/returns.py`);
* `entropy_target: theory` is offered, see `SoftActorCriticConfig`.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from components.episode_batch import EpisodeBatch
from components.masking import masked_mean, of_present, real_entries
from components.policies import Categorical, entropy, soft_policy_loss
from components.returns import lambda_returns
from components.schedules import LinearSchedule, Number
from components.settings import TrainingSettings
from controllers.basic_controller import BasicController
from learners._sampling import SamplingLearner
from learners.base import Details, Learner
from utils.errors import validate


@dataclass(frozen=True)
class SoftActorCriticConfig:
    """Settings of a soft actor-critic."""

    temperature_start: float = 0.5  # a, weight of the entropy at the start, in units of the reward
    temperature_finish: float = 0.05  # and after annealing, above 0
    temperature_anneal_time: int = 90_000  # environment steps over which it falls linearly
    td_lambda: float = 0.8  # lambda of the targets, in [0, 1]; 0: one-step
    entropy_target: Literal["reference", "theory"] = (
        "reference"  # reference: the return - a mean_i log pi_i, once; theory: - a sum_i log pi_i
        # after every step of the return, discounted, nothing after a terminated one
    )

    def __post_init__(self) -> None:
        ends = ("temperature_start", "temperature_finish")
        validate(
            *((not getattr(self, k) > 0, k, f"{getattr(self, k)} must be above 0.") for k in ends),
            (
                self.temperature_anneal_time < 0,
                "temperature_anneal_time",
                f"{self.temperature_anneal_time} is negative.",
            ),
            (
                not 0 <= self.td_lambda <= 1,
                "td_lambda",
                f"{self.td_lambda} must lie in [0, 1].",
            ),
        )


PART_METRICS = {
    "policy_loss": "loss of the actors, last update",
    "critic_loss": "mean squared TD error of a critic, last update",
    "entropy": "mean entropy of an agent's policy in nats, last update",
    "q_taken_mean": "mean mixed value of the actions taken, last update",
    "target_mean": "mean target of those values, last update",
}


class SoftActorCritic(SamplingLearner):
    """Temperature, targets and losses of the module's text; a subclass writes `loss`.

    Args:
        config: settings.
        settings: discount, optimiser, target updates.
        controller: runs the agents' network.
        online: the modules that are trained.
        t_max: environment steps of the whole run.
        clip_groups: as in `Learner`.
    """

    trains: ClassVar[tuple[type, ...]] = (Categorical,)
    metric_descriptions: ClassVar[dict[str, str]] = {
        **Learner.metric_descriptions,
        "temperature": "weight of the entropy, last update",
    }

    def __init__(
        self,
        config: SoftActorCriticConfig,
        settings: TrainingSettings,
        controller: BasicController,
        online: nn.ModuleDict,
        t_max: int,
        clip_groups: tuple[tuple[str, ...], ...],
    ):
        super().__init__(settings, controller, online, t_max, clip_groups)
        self.config = config
        self._temperature = LinearSchedule(
            config.temperature_start, config.temperature_finish, config.temperature_anneal_time
        )
        # `reference` adds the entropy of the policy after the last step even where the world ended.
        self.sees_last = config.entropy_target == "reference" or controller.info.truncates

    @property
    def temperature(self) -> Number:
        """The weight of the entropy now."""
        return self._temperature.value(self.env_steps)

    def bootstraps(self, batch: EpisodeBatch) -> bool:
        """Whether any later value enters a target; never in a game of one step."""
        return batch.n_steps > 1 or self.controller.info.truncates

    def targets(self, batch: EpisodeBatch, next_value: Tensor, next_log_pi: Tensor) -> Tensor:
        """The critics' targets, from actions sampled after each step.

        With v the mixed value after a step and H the entropy there, sampled as - log pi,

            reference: y_t = G_t + a mean_i H_i,  G_t = r_t + g (1 - d_t) [(1-l) v + l G_{t+1}]
            theory:    y_t = r_t + g (1 - d_t) [a sum_i H_i + (1-l) v + l y_{t+1}]

        and l = `td_lambda`, but 0 at an episode's last step. Where nothing is mixed, H_i is each
        agent's own.

        Args:
            batch: B episodes.
            next_value: [B, L-1, R], their mixed values at steps 1..L-1, by the target networks.
            next_log_pi: [B, L-1, N], their log-probabilities.

        Returns:
            [B, T, R]
        """
        theory = self.config.entropy_target == "theory"
        reward = self.reward_scaler.scale(batch.reward)
        after = slice(1, next_log_pi.shape[1] + 1)
        bonus = of_present(-self.temperature * next_log_pi, batch, after)  # [B, L-1, N]
        if next_value.shape[2] == 1:  # one value of the team
            n_present: Any = bonus.shape[2]
            if batch.is_active is not None:
                n_present = batch.is_active[:, after].sum(dim=2, keepdim=True).clamp(min=1)
            bonus = bonus.sum(dim=2, keepdim=True) / (1 if theory else n_present)  # [B, L-1, 1]
        if not self.sees_last:  # nothing follows the last step
            next_value, bonus = (nn.functional.pad(x, (0, 0, 0, 1)) for x in (next_value, bonus))
        if theory:  # each step earns the entropy of the policy after it, for every lambda
            reward = reward + self.settings.gamma * torch.where(batch.terminated, 0.0, bonus)
        returns = lambda_returns(
            reward,
            next_value,
            batch.terminated,
            batch.valid,
            self.settings.gamma,
            self.config.td_lambda,
        )
        return returns if theory else returns + bonus

    def losses(
        self, batch: EpisodeBatch, log_pi: Tensor, q: Tensor, values: list[Tensor], target: Tensor
    ) -> tuple[Tensor, Details]:
        """Loss of the actors, plus that of each critic; and `PART_METRICS`.

        Args:
            batch: B episodes.
            log_pi: [B, T, N, A], of the actors.
            q: [B, T, N, A], each agent's values, without gradient.
            values: mixed values of the actions taken, [B, T, R] for each critic.
            target: [B, T, R], of all of them.
        """
        to_minimise = soft_policy_loss(log_pi, q, self.temperature)  # [B, T, N]
        policy_loss = self.mean_over_agents(to_minimise, batch)
        errors = torch.stack([(value - target).square() for value in values]).mean(dim=0)
        critic_loss = self.mean_over_values(errors, batch)
        log_pi, mixed = log_pi.detach(), torch.stack(values).detach()
        return policy_loss + len(values) * critic_loss, {
            "policy_loss": policy_loss.detach().clone,  # not of the loss: it holds the whole step
            "critic_loss": critic_loss.detach().clone,
            "entropy": lambda: self.mean_over_agents(entropy(log_pi), batch),
            "q_taken_mean": lambda: self.mean_over_values(mixed.mean(dim=0), batch),
            "target_mean": lambda: self.mean_over_values(target, batch),
        }

    def temperature_detail(self) -> Details:
        """The metric of the temperature."""
        return {"temperature": lambda: torch.as_tensor(self.temperature, dtype=torch.float32)}

    def mean_over_agents(self, x: Tensor, batch: EpisodeBatch) -> Tensor:
        """Mean of x [B, T, N] over real steps and agents that take part."""
        return masked_mean(x, self._mask(batch, per_agent=True))

    def mean_over_values(self, x: Tensor, batch: EpisodeBatch) -> Tensor:
        """Mean of x [B, T, R] over what was mixed: R = 1 (team) or N (each agent alone)."""
        return masked_mean(x, self._mask(batch, per_agent=x.shape[2] > 1))

    def _mask(self, batch: EpisodeBatch, per_agent: bool) -> Tensor | None:
        """Which entries count."""
        return real_entries(batch, per_agent, self.controller.info.fixed_length)
