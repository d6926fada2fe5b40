"""FOP: soft actors whose product is tied to the optimal joint soft policy by the mixer.

Source: Zhang, Li, Wang, Xie, Lu, *FOP: Factorizing Optimal Joint Policy of Maximum-Entropy
Multi-Agent Reinforcement Learning*, ICML 2021 (PMLR 139:12491-12500). The mixer's equations are
in `modules/mixers/fop.py`. With twins k = 1, 2 and temperature a:

    actor:   sum_u pi_i(u) [a log pi_i(u) - min_k q_i^k(u)], mean over steps and agents
    critics: (Q_jt^k(s, u) - y)^2 + regulariser of the mixer's attention
    y:       lambda return of r and min_k Q_jt^k'(s', u'), plus the entropy; u'_i ~ pi_i(. | next)

The entropy in y is that of the authors' code, - a mean_i log pi_i(u'_i | next): it is not
discounted, and also added at the episode's end. With `entropy_target: theory` every step of the
return earns gamma (1 - d) [- a sum_i log pi_i] besides its reward. Agents act independently: each
samples its pi_i, and takes its mode in a test.

Departures: those of `_soft_actor_critic.py`; critics see ids and last actions if actors do (the
authors' critics always do).
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from typing_extensions import override

from components.episode_batch import EpisodeBatch, as_floats
from components.masking import of_present, taken
from components.policies import log_policy, soft_value
from components.settings import TrainingSettings
from controllers.basic_controller import BasicController
from learners._soft_actor_critic import PART_METRICS, SoftActorCritic, SoftActorCriticConfig
from learners.base import Details
from modules.agents.base import AgentInputs
from modules.layers import reinitialised_copy
from utils.registry import LEARNERS

TWINS = (1, 2)


@dataclass(frozen=True)
class FOPLearnerConfig(SoftActorCriticConfig):
    """Settings of `fop_learner`."""


@LEARNERS.register("fop_learner", config=FOPLearnerConfig)
class FOPLearner(SoftActorCritic):
    """Trains the actors, and twin critics with a mixer each (`modules/mixers/fop.py`)."""

    mixes: ClassVar[str] = "soft values"
    metric_descriptions: ClassVar[dict[str, str]] = {
        **SoftActorCritic.metric_descriptions,
        **PART_METRICS,
    }

    def __init__(
        self,
        config: FOPLearnerConfig,
        settings: TrainingSettings,
        controller: BasicController,
        mixer: nn.Module,
        t_max: int,
    ):
        online = nn.ModuleDict({"agent": controller.agent})
        for k in TWINS:
            online[f"critic_{k}"] = reinitialised_copy(
                controller.agent, controller.seed, f"critic_{k}"
            )
            online[f"mixer_{k}"] = reinitialised_copy(mixer, controller.seed, f"mixer_{k}")
        groups = (("agent",), *((f"critic_{k}", f"mixer_{k}") for k in TWINS))
        super().__init__(config, settings, controller, online, t_max, groups)

    @override
    def loss(self, batch: EpisodeBatch) -> tuple[Tensor, Details]:
        t = batch.n_steps
        inputs = self.controller.agent_inputs(batch, t + self.sees_last)
        now = inputs.window(0, t)
        log_pi = log_policy(self.online["agent"](inputs, None)[0], inputs.avail)  # [B, L, N, A]
        q = [self.online[f"critic_{k}"](now, None)[0] for k in TWINS]  # [B, T, N, A] each
        values, penalties = self._mix(self.online, q, batch.actions, batch, slice(0, t))
        target = self._targets(batch, inputs, log_pi.detach())  # [B, T, 1]
        lower = torch.minimum(*q).detach()
        loss, details = self.losses(batch, log_pi[:, :t], lower, values, target)
        loss = loss + self.mean_over_values(penalties[0] + penalties[1], batch)
        return loss, details | self.temperature_detail()

    @torch.no_grad()
    def _targets(self, batch: EpisodeBatch, inputs: AgentInputs, log_pi: Tensor) -> Tensor:
        """log_pi: [B, L, N, A], the policy now -> [B, T, 1]."""
        after = slice(1, log_pi.shape[1])
        log_pi = log_pi[:, after]  # [B, L-1, N, A]
        actions = (log_pi + self.noise(log_pi.shape)).argmax(dim=3)  # [B, L-1, N]
        next_value = torch.zeros_like(log_pi[:, :, 0, :1])  # [B, L-1, 1]
        if self.bootstraps(batch):
            q = [self.target[f"critic_{k}"](inputs, None)[0][:, after] for k in TWINS]
            next_value = torch.minimum(*self._mix(self.target, q, actions, batch, after)[0])
        return self.targets(batch, next_value, taken(log_pi, actions))

    def _mix(
        self,
        nets: nn.ModuleDict,
        q: list[Tensor],
        actions: Tensor,
        batch: EpisodeBatch,
        steps: slice,
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Joint values of the twins, and regularisers, [B, L', 1] each.

        Args:
            nets: online or target networks.
            q: of each twin [B, L', N, A].
            actions: [B, L', N]
            batch: B episodes.
            steps: the L' steps of the batch that these belong to.
        """
        values, penalties = [], []
        for k, q_k in zip(TWINS, q, strict=True):
            value = soft_value(q_k.detach(), batch.avail[:, steps], self.temperature)
            chosen, value = (of_present(x, batch, steps) for x in (taken(q_k, actions), value))
            state, obs = batch.state[:, steps], as_floats(batch.obs[:, steps])
            active = None if batch.is_active is None else batch.is_active[:, steps]
            mixed, penalty = nets[f"mixer_{k}"](chosen, state, value, actions, obs, active)
            values.append(mixed)
            penalties.append(penalty)
        return values, penalties
