"""MACPF: dependent policies collect and learn with an order; independent ones learn to act alone.

Source: Wang, Ye, Lu, *More Centralized Training, Still Decentralized Execution: Multi-Agent
Conditional Policy Factorization*, ICLR 2023, arXiv 2209.12681. Actor and critic give independent
outputs and dependent ones, which add a correction by other agents' actions
(`modules/dependence.py`). For each mode m, with temperature a and values q mixed into Q_tot:

    actor:  sum_u pi_m(u) [a log pi_m(u) - q_m,i(u)], mean over steps and agents
    critic: (Q_tot^m(s, u) - y_m)^2, u the stored actions
    y_m:    lambda return of r and Q_tot^m'(s', u') - a mean_i log pi_m(u'_i | next), u' ~ pi_m

The dependent actor is trained on predecessors' actions that are sampled again, the same in policy
and critic; the dependent critic on stored ones. The authors' mixer is QMIX's without its
nonlinearity (`mixer: qmix`, `activation: none`); their second mixer is never used, hence
`share_mixer: true`. `critic_parents: all` has their critic's sum over all other agents, by default
it receives predecessors' actions only, as in the paper.

Departures: those of `_soft_actor_critic.py`. The two modes take one step together instead of one
each, so the features they share move once along the sum of both gradients. Exploration is mixed in
while collecting but not in the policies that are trained.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal, cast

import torch
from torch import Tensor, nn
from typing_extensions import override

from components.episode_batch import EpisodeBatch
from components.masking import of_present, taken
from components.policies import log_policy
from components.settings import TrainingSettings
from controllers.basic_controller import BasicController
from learners._soft_actor_critic import PART_METRICS, SoftActorCritic, SoftActorCriticConfig
from learners.base import Details
from modules.agents.base import AgentInputs
from modules.dependence import DependentNetwork, parents_mask
from modules.layers import reinitialised_copy
from utils.registry import LEARNERS

MODES = ("independent", "dependent")


@dataclass(frozen=True)
class MACPFLearnerConfig(SoftActorCriticConfig):
    """Settings of `macpf_learner`."""

    temperature_start: float = 0.001  # a, weight of the entropy at the start, in units of reward
    temperature_finish: float = 0.001  # and after annealing, above 0
    critic_parents: Literal["preceding", "all"] = (
        "preceding"  # whose actions the dependent critic receives
    )
    share_mixer: bool = True  # false: a separate mixer for the dependent values


@LEARNERS.register("macpf_learner", config=MACPFLearnerConfig)
class MACPFLearner(SoftActorCritic):
    """Trains both modes. Lists of two hold the independent mode, then the dependent one."""

    takes: ClassVar[tuple[str, ...]] = ("outputs in sequence",)
    config: MACPFLearnerConfig
    metric_descriptions: ClassVar[dict[str, str]] = {
        **SoftActorCritic.metric_descriptions,
        **{f"{m}_{key}": f"{m} mode: {x}" for m in MODES for key, x in PART_METRICS.items()},
    }

    def __init__(
        self,
        config: MACPFLearnerConfig,
        settings: TrainingSettings,
        controller: BasicController,
        mixer: nn.Module,
        t_max: int,
    ):
        online = nn.ModuleDict({"agent": controller.agent})
        online["critic"] = reinitialised_copy(controller.agent, controller.seed, "critic")
        online["mixer"] = mixer
        self.mixers = ["mixer", "mixer"]
        if not config.share_mixer:
            self.mixers[1] = "dependent_mixer"
            online["dependent_mixer"] = reinitialised_copy(
                mixer, controller.seed, "dependent_mixer"
            )
        groups = (("agent",), tuple(name for name in online if name != "agent"))
        super().__init__(config, settings, controller, online, t_max, groups)
        n, device = controller.info.n_agents, controller.device
        self.preceding = parents_mask(n, "preceding", device)
        self.critic_parents = parents_mask(n, config.critic_parents, device)

    @override
    def loss(self, batch: EpisodeBatch) -> tuple[Tensor, Details]:
        t = batch.n_steps
        inputs = self.controller.agent_inputs(batch, t + self.sees_last)
        now = inputs.window(0, t)
        actor, critic = cast(list[DependentNetwork], [self.online["agent"], self.online["critic"]])
        logits, own, _ = actor.alone(inputs, None)  # [B, L, N, A] each
        noise = (self.noise(own.shape), self.noise(logits.shape))
        actions = actor.sample(logits, own, *noise, inputs)  # [B, L, N] each
        dependent = own + actor.received(actions[1], self.preceding, inputs.is_active)
        log_pi = [log_policy(x, inputs.avail) for x in (logits, dependent)]
        q, q_own, _ = critic.alone(now, None)  # [B, T, N, A] each
        heard = critic.received(batch.actions, self.critic_parents, now.is_active)
        values = self._mix(self.online, [q, q_own + heard], [batch.actions] * 2, batch, 0)
        with torch.no_grad():
            heard = critic.received(actions[1][:, :t], self.critic_parents, now.is_active)
            known = [q.detach(), q_own.detach() + heard]
        next_values = [torch.zeros_like(value[:, : inputs.x.shape[1] - 1]) for value in values]
        if self.bootstraps(batch):
            next_values = self._next_values(batch, inputs, actions)
        targets = [
            self.targets(batch, value, taken(x.detach()[:, 1:], chosen[:, 1:]))
            for value, x, chosen in zip(next_values, log_pi, actions, strict=True)
        ]
        total = torch.zeros((), device=logits.device)
        details: Details = {}
        for i, mode in enumerate(MODES):
            parts = (log_pi[i][:, :t], known[i], [values[i]], targets[i])
            loss, found = self.losses(batch, *parts)
            total = total + loss
            details |= {f"{mode}_{key}": detail for key, detail in found.items()}
        return total, details | self.temperature_detail()

    @torch.no_grad()
    def _next_values(
        self, batch: EpisodeBatch, inputs: AgentInputs, actions: list[Tensor]
    ) -> list[Tensor]:
        """Mixed values [B, L-1, R] of actions [B, L, N] at steps 1..L-1, by the target networks."""
        critic = cast(DependentNetwork, self.target["critic"])
        q, q_own, _ = critic.alone(inputs, None)  # [B, L, N, A] each
        q_own = q_own + critic.received(actions[1], self.critic_parents, inputs.is_active)
        next_actions = [x[:, 1:] for x in actions]
        return self._mix(self.target, [q[:, 1:], q_own[:, 1:]], next_actions, batch, 1)

    def _mix(
        self,
        nets: nn.ModuleDict,
        q: list[Tensor],
        actions: list[Tensor],
        batch: EpisodeBatch,
        start: int,
    ) -> list[Tensor]:
        """Mixed values [B, L', R] of both modes, from q [B, L', N, A] at steps `start` and on."""
        steps = slice(start, start + q[0].shape[1])
        mixed = []
        for mixer, q_mode, chosen in zip(self.mixers, q, actions, strict=True):
            value = of_present(taken(q_mode, chosen), batch, steps)  # [B, L', N]
            mixed.append(nets[mixer](value, batch.state[:, steps]))
        return mixed
