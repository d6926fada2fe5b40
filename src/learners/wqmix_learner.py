"""Weighted QMIX: a monotonic value that is fitted best where joint actions are good.

Source: Rashid, Farquhar, Peng & Whiteson, *Weighted QMIX*, NeurIPS 2020, arXiv 2006.10800. Beside
Q_tot (agents and a mixer, by which the team acts) an unrestricted Q* is learnt from separate agents
and `UnrestrictedMixer` (`modules/joint_values.py`). With u* the greedy joint action of Q_tot,

    y    = r + gamma (1 - d) Q*'(s', u'*)
    loss = mean of w(s, u) (Q_tot(s, u) - y)^2 + (Q*(s, u) - y)^2 over real steps
    centrally weighted (CW):   w = 1 if u = u* or y > Q*'(s, u*), else alpha
    optimistically (OW):       w = 1 if Q_tot(s, u) < y, else alpha

where ' marks target networks. Q* serves training only. Agents act independently, each by its Q_i.

Departures: those of `q_learner`; in CW, y is compared with Q*' at u* as in the authors' code.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from components.episode_batch import EpisodeBatch
from components.masking import masked_mean, of_present, real_entries, taken
from components.settings import TrainingSettings
from controllers.basic_controller import BasicController
from learners._td_terms import TDTerms
from learners.base import Details
from learners.q_learner import QLearner, QLearnerConfig
from modules.joint_values import UnrestrictedMixer
from modules.layers import reinitialised_copy
from utils.errors import LARGEST_LAYER, out_of_range, validate
from utils.registry import LEARNERS
from utils.seeding import seeded_initialisation


@dataclass(frozen=True)
class WQMixLearnerConfig(QLearnerConfig):
    """Settings of `wqmix_learner`."""

    weighting: Literal["central", "optimistic"] = "central"  # CW-QMIX or OW-QMIX
    alpha: float = 0.1  # weight of the other joint actions, in (0, 1]; 1: all alike
    central_hidden_dim: int = 256  # hidden units of Q*'s mixer

    def __post_init__(self) -> None:
        super().__post_init__()
        validate(
            *out_of_range(self, 1, LARGEST_LAYER, "central_hidden_dim"),
            (not 0 < self.alpha <= 1, "alpha", f"{self.alpha} must lie in (0, 1]."),
            (
                not self.double_q,
                "double_q",
                "False cannot be: Q* is always valued at the online agents' greedy actions. "
                "Leave it at True.",
            ),
        )


@LEARNERS.register("wqmix_learner", config=WQMixLearnerConfig)
class WQMixLearner(QLearner):
    """Minimises the loss of the module's text; arguments as `QLearner`."""

    needs_team_reward: ClassVar[bool] = True
    config: WQMixLearnerConfig
    metric_descriptions: ClassVar[dict[str, str]] = {
        **QLearner.metric_descriptions,
        "mixed_loss": "mean weighted squared TD error of Q_tot, last update",
        "central_loss": "mean squared TD error of Q*, last update",
        "weight_mean": "mean weight w of the errors of Q_tot, last update",
    }

    def __init__(
        self,
        config: WQMixLearnerConfig,
        settings: TrainingSettings,
        controller: BasicController,
        mixer: nn.Module,
        t_max: int,
    ):
        info, seed = controller.info, controller.seed
        with seeded_initialisation(seed, "weights", "central_mixer"):
            central = UnrestrictedMixer(info.n_agents, info.state_dim, config.central_hidden_dim)
        agent = reinitialised_copy(controller.agent, seed, "central_agent")
        central_networks = {"central_agent": agent, "central_mixer": central}
        super().__init__(config, settings, controller, mixer, t_max, central_networks)

    def _td_terms(self, batch: EpisodeBatch) -> TDTerms:
        """Of Q_tot; the estimate is u* [B, L, N] and Q*' there [B, L, 1]."""
        now, length = slice(0, batch.n_steps), self._n_estimated(batch)
        q = self._estimate(self.online, batch)  # [B, L, N, A]
        value = self._value(self.online, q[:, now], batch.actions, batch, now)  # [B, T, 1]
        best = self._greedy(q.detach(), batch.avail[:, :length])  # [B, L, N], u*
        with torch.no_grad():
            best_value = self._central(self.target, best, batch)  # [B, L, 1]
        target = self._targets(batch, best_value)
        mask = real_entries(batch, per_agent=False, fixed_length=self.controller.info.fixed_length)
        return TDTerms((best, best_value), value, target, mask)

    def loss(self, batch: EpisodeBatch) -> tuple[Tensor, Details]:
        """The weighted loss of Q_tot plus the loss of Q*."""
        td, now = self._td_terms(batch), slice(0, batch.n_steps)
        mask = td.mask
        if self.config.weighting == "optimistic":
            counts_fully = td.error < 0
        else:
            best, best_value = (x[:, now] for x in td.estimate)
            is_best = batch.actions == best  # [B, T, N]
            if batch.is_active is not None:
                is_best = is_best | ~batch.is_active[:, now]
            counts_fully = is_best.all(dim=2, keepdim=True) | (td.target > best_value)
        weight = torch.where(counts_fully, 1.0, self.config.alpha)  # [B, T, 1]
        mixed = masked_mean(weight * td.error.square(), mask)
        central_error = self._central(self.online, batch.actions, batch) - td.target
        central = masked_mean(central_error.square(), mask)
        return mixed + central, td.details() | {
            "mixed_loss": mixed.detach().clone,
            "central_loss": central.detach().clone,
            "weight_mean": lambda: masked_mean(weight, mask),
        }

    def _next_values(self, batch: EpisodeBatch, best_value: Tensor) -> Tensor:
        """best_value: [B, L, 1], of Q*' at the online agents' greedy actions -> [B, L-1, 1]."""
        return best_value[:, 1:]

    def _central(self, networks: nn.ModuleDict, actions: Tensor, batch: EpisodeBatch) -> Tensor:
        """Q* of joint actions [B, L, N] at the first L steps -> [B, L, 1]."""
        length = actions.shape[1]
        q = self.controller.outputs(batch, length, networks["central_agent"])
        chosen = of_present(taken(q, actions), batch, slice(0, length))
        value: Tensor = networks["central_mixer"](chosen, batch.state[:, :length])
        return value
