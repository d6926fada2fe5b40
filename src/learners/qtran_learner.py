"""QTRAN-base: an unrestricted joint value, and agents whose summed values agree with its maximum.

Source: Son, Kim, Kang, Hostallero & Yi, *QTRAN: Learning to Factorize with Transformation*, ICML
2019, arXiv 1905.05408. With Q_jt and V (`modules/joint_values.py`), u_i* the best action of agent
i's Q_i, and sg without gradient,

    L_td   = (Q_jt(s, u) - y)^2,   y = r + gamma (1 - d) Q_jt'(s', u'*)
    L_opt  = (sum_i Q_i(u_i*) - sg Q_jt(s, u*) + V(s))^2
    L_nopt = min(0, sum_i Q_i(u_i) - sg Q_jt(s, u) + V(s))^2
    loss   = mean of L_td + opt_weight L_opt + nopt_weight L_nopt over real steps

L_td alone trains Q_jt. The others make sum_i Q_i + V equal to it at u* and no smaller elsewhere,
under which u* maximises Q_jt. Q_jt reads the agents' features, and L_td's gradient reaches them.
Agents act independently, each greedily by its Q_i.

Departures: those of `q_learner`. Target networks are in y only, as in PyMARL.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from components.episode_batch import EpisodeBatch
from components.masking import masked_mean, of_present, taken
from components.policies import greedy_actions
from components.settings import TrainingSettings
from controllers.basic_controller import BasicController
from learners.base import Details
from learners.q_learner import QLearner, QLearnerConfig
from modules.agents.base import HasFeatures
from modules.joint_values import JointValue
from utils.errors import LARGEST_LAYER, out_of_range, validate
from utils.registry import LEARNERS
from utils.seeding import seeded_initialisation


@dataclass(frozen=True)
class QTranLearnerConfig(QLearnerConfig):
    """Settings of `qtran_learner`."""

    joint_hidden_dim: int = 64  # hidden units of the joint value and of V
    opt_weight: float = 1.0  # weight of L_opt, at least 0
    nopt_weight: float = 0.1  # weight of L_nopt, at least 0

    def __post_init__(self) -> None:
        super().__post_init__()
        weights = {name: getattr(self, name) for name in ("opt_weight", "nopt_weight")}
        validate(
            *out_of_range(self, 1, LARGEST_LAYER, "joint_hidden_dim"),
            *((x < 0, name, f"{x} must not be negative.") for name, x in weights.items()),
        )


@dataclass(frozen=True)
class Utilities:
    """The agents' values and what they are read from; `utilities[:, 1:]` takes some steps."""

    q: Tensor  # [B, L, N, A]
    features: Tensor  # [B, L, N, H]

    def __getitem__(self, index: Any) -> "Utilities":
        return Utilities(self.q[index], self.features[index])

    def detach(self) -> "Utilities":
        """The same numbers without gradient."""
        return Utilities(self.q.detach(), self.features.detach())


@LEARNERS.register("qtran_learner", config=QTranLearnerConfig)
class QTranLearner(QLearner):
    """Minimises the loss of the module's text; arguments as `QLearner`."""

    uses_mixer: ClassVar[bool] = False
    needs_team_reward: ClassVar[bool] = True
    needs_features: ClassVar[bool] = True
    config: QTranLearnerConfig
    metric_descriptions: ClassVar[dict[str, str]] = {
        **QLearner.metric_descriptions,
        "td_loss": "mean squared TD error of the joint value, last update",
        "opt_loss": "mean L_opt, at the agents' best actions, last update",
        "nopt_loss": "mean L_nopt, at the actions taken, last update",
    }

    def __init__(
        self,
        config: QTranLearnerConfig,
        settings: TrainingSettings,
        controller: BasicController,
        mixer: nn.Module,
        t_max: int,
    ):
        info, agent = controller.info, controller.agent
        with seeded_initialisation(controller.seed, "weights", "joint_value"):
            sizes = (info.n_actions, info.state_dim, config.joint_hidden_dim)
            joint = JointValue(cast(HasFeatures, agent).feature_dim, *sizes)
        super().__init__(config, settings, controller, mixer, t_max, {"joint": joint})

    def loss(self, batch: EpisodeBatch) -> tuple[Tensor, Details]:
        """The weighted sum of the three losses."""
        td, now = self._td_terms(batch), slice(0, batch.n_steps)
        own = td.estimate[:, now]
        state_value = cast(JointValue, self.online["joint"]).state_value
        bias = state_value(batch.state[:, now])  # [B, T, 1]
        best = self._greedy(own.detach(), batch.avail[:, now])  # [B, T, N]
        with torch.no_grad():
            best_value = self._value(self.online, own, best, batch, now)

        def excess(actions: Tensor, joint: Tensor) -> Tensor:
            """sum_i Q_i + V - sg Q_jt at `actions`, [B, T, 1]."""
            chosen = of_present(taken(own.q, actions), batch, now)
            return chosen.sum(dim=2, keepdim=True) + bias - joint.detach()

        errors = {
            "td": td.error,
            "opt": excess(best, best_value),
            "nopt": excess(batch.actions, td.value).clamp(max=0),
        }
        losses = {name: masked_mean(error.square(), td.mask) for name, error in errors.items()}
        weights = {"td": 1.0, "opt": self.config.opt_weight, "nopt": self.config.nopt_weight}
        total = torch.stack([weights[name] * loss for name, loss in losses.items()]).sum()
        return total, td.details() | {f"{k}_loss": x.detach().clone for k, x in losses.items()}

    def _estimate(self, networks: nn.ModuleDict, batch: EpisodeBatch) -> Utilities:
        agent: Any = networks["agent"]
        inputs = self.controller.agent_inputs(batch, self._n_estimated(batch))
        features, _ = agent.features(inputs, None)
        return Utilities(agent.last(features), features)

    def _greedy(self, estimate: Utilities, avail: Tensor) -> Tensor:
        return greedy_actions(estimate.q, avail)

    def _value(
        self,
        networks: nn.ModuleDict,
        estimate: Utilities,
        actions: Tensor,
        batch: EpisodeBatch,
        steps: slice,
    ) -> Tensor:
        active = None if batch.is_active is None else batch.is_active[:, steps]
        state = batch.state[:, steps]
        value: Tensor = networks["joint"](state, estimate.features, actions, active)
        return value
