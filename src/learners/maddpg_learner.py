"""MADDPG: actors follow the gradient of central critics of joint actions.

Source: Lowe et al., *Multi-Agent Actor-Critic for Mixed Cooperative-Competitive Environments*, NIPS
2017, arXiv 1706.02275; Gumbel-softmax: Jang et al., arXiv 1611.01144; Papoudakis et al., arXiv
2006.07869. With u~_i a straight-through Gumbel-softmax sample of pi_i and sg without gradient,

    critics: (Q_i(s, u) - y_i)^2,   y_i = r_i + g (1 - d) Q_i'(s', u'),   u'_j = argmax pi_j'
    actors:  - Q_i(s, sg u~_1, .., u~_i, .., sg u~_N) + logit_penalty mean_a logits_i(a)^2

both as means over real steps and agents that take part.

Continuous actions are samples of a squashed normal policy, mean + deviation x noise, in place of
the Gumbel-softmax sample; the penalty is on means and logarithms of deviations.

Departures: continuous policies are stochastic, where the paper's are deterministic and explore by
added noise. The others' actions in the actors' loss are samples of their policies, as in EPyMARL;
the paper's algorithm takes them from replay. Actors and critics step together. Target actors read
their whole episode. Time limits are bootstrapped.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from components.episode_batch import EpisodeBatch
from components.masking import masked_mean, of_present, real_entries
from components.policies import Categorical
from components.returns import lambda_returns
from components.settings import TrainingSettings
from components.squashed_normal import SquashedNormal
from controllers.basic_controller import BasicController
from learners._sampling import SamplingLearner
from learners.base import Details, Learner
from modules.agents.base import AgentInputs
from modules.critics.base import Critic, CriticInputs
from utils.errors import validate
from utils.registry import LEARNERS


@dataclass(frozen=True)
class MADDPGLearnerConfig:
    """Settings of `maddpg_learner`."""

    gumbel_temperature: float = 1.0  # of the softmax whose gradient a sample has, above 0
    logit_penalty: float = 1e-3  # weight of the actors' mean squared logits, at least 0

    def __post_init__(self) -> None:
        tau, weight = self.gumbel_temperature, self.logit_penalty
        validate(
            (not tau > 0, "gumbel_temperature", f"{tau} must be above 0."),
            (not weight >= 0, "logit_penalty", f"{weight} must not be negative."),
        )


@LEARNERS.register("maddpg_learner", config=MADDPGLearnerConfig)
class MADDPGLearner(SamplingLearner):
    """Minimises the critics' squared TD errors and the actors' negative values.

    Args:
        config: settings.
        settings: discount, optimiser, target updates.
        controller: runs the actors' network.
        mixer: `none`.
        t_max: environment steps of the whole run.
        critic: estimates each agent's value of joint actions.
    """

    trains: ClassVar[tuple[type, ...]] = (Categorical, SquashedNormal)
    uses_mixer: ClassVar[bool] = False
    critic_estimates: ClassVar[str] = "values of joint actions"
    metric_descriptions: ClassVar[dict[str, str]] = {
        **Learner.metric_descriptions,
        "policy_loss": "loss of the actors without the penalty, last update",
        "critic_loss": "mean squared TD error of the critics, last update",
        "entropy": "mean entropy of an agent's policy in nats, last update",
        "q_taken_mean": "mean value of the actions taken, last update",
        "target_mean": "mean target of those values, last update",
    }

    def __init__(
        self,
        config: MADDPGLearnerConfig,
        settings: TrainingSettings,
        controller: BasicController,
        mixer: nn.Module,
        t_max: int,
        critic: Critic,
    ):
        del mixer
        self.config = config
        online = nn.ModuleDict({"agent": controller.agent, "critic": critic})
        super().__init__(settings, controller, online, t_max, (("agent",), ("critic",)))
        n, device = controller.info.n_agents, controller.device
        self.is_own = torch.eye(n, dtype=torch.bool, device=device).view(n, n, 1)  # [N, N, 1]

    def loss(self, batch: EpisodeBatch) -> tuple[Tensor, Details]:
        """Errors of the critics, negative values of the actors' samples, penalty."""
        critic, n_steps = self.online["critic"], batch.n_steps + self.controller.info.truncates
        inputs = self.controller.agent_inputs(batch, n_steps)
        now = inputs.window(0, batch.n_steps)
        target = self._targets(batch, inputs)  # [B, T, N]
        q_taken = critic(
            self._rows(batch, now, self.controller.as_vectors(batch.actions))
        )  # [B, T, N]
        critic_loss = self._mean((q_taken - target).square(), batch)

        outputs = self.online["agent"](now, None)[0]  # [B, T, N, A], or 2 A
        policy = self.controller.policy(outputs, now.avail)
        sample = policy.vector_sample(self.noise_of(policy), self.config.gumbel_temperature)
        constant = {name: p.detach() for name, p in critic.named_parameters()}
        q = functional_call(critic, constant, (self._rows(batch, now, sample),))  # [B, T, N]
        policy_loss = -self._mean(q, batch)
        penalty = self._mean(policy.mean_square(), batch)
        shown, q_taken = self.controller.policy(outputs.detach(), now.avail), q_taken.detach()
        return critic_loss + policy_loss + self.config.logit_penalty * penalty, {
            "policy_loss": policy_loss.detach().clone,
            "critic_loss": critic_loss.detach().clone,
            "entropy": lambda: self._mean(shown.entropy(), batch),
            "q_taken_mean": lambda: self._mean(q_taken, batch),
            "target_mean": lambda: self._mean(target, batch),
        }

    @torch.no_grad()
    def _targets(self, batch: EpisodeBatch, inputs: AgentInputs) -> Tensor:
        """One-step targets of each agent's value, [B, T, N]; `inputs` as of L steps."""
        length = inputs.x.shape[1]
        next_value = torch.zeros_like(batch.reward[:, :, :1]).expand(
            -1, -1, self.controller.info.n_agents
        )
        if length > 1:
            policy = self.controller.policy(self.target["agent"](inputs, None)[0], inputs.avail)
            actions = self.controller.as_vectors(policy.mode())  # [B, L, N, A]
            values = self.target["critic"](self._rows(batch, inputs, actions))
            next_value = of_present(values, batch, slice(0, length))[:, 1:]  # [B, L-1, N]
            if length == batch.n_steps:  # nothing follows the last step
                next_value = functional.pad(next_value, (0, 0, 0, 1))
        reward, gamma = self.reward_scaler.scale(batch.reward), self.settings.gamma
        return lambda_returns(reward, next_value, batch.terminated, batch.valid, gamma, lam=0.0)

    def _rows(self, batch: EpisodeBatch, inputs: AgentInputs, actions: Tensor) -> CriticInputs:
        """For the critic: `actions` [B, L, N, A]; in row i only agent i's passes a gradient on."""
        state = batch.state[:, : actions.shape[1]]
        rows = torch.where(self.is_own, actions.unsqueeze(2), actions.detach().unsqueeze(2))
        return CriticInputs(state, inputs.x, is_active=inputs.is_active, joint_actions=rows)

    def _mean(self, x: Tensor, batch: EpisodeBatch) -> Tensor:
        """Mean of x [B, T, N] over real steps and agents that take part."""
        return masked_mean(x, real_entries(batch, True, self.controller.info.fixed_length))
