"""Q-learning of joint values that are sums of utilities and pairwise pay-offs.

Source: Boehmer, Kurin & Whiteson, *Deep Coordination Graphs*, ICML 2020, arXiv 1910.00091. The loss
is (q(a) - y)^2 with y = r + gamma q'(a'), where a' is the joint action that the online network
finds by message passing and q' the target network. There is no mixer, and gradients reach utilities
and pay-offs only through q(a) of the actions taken. Departures: those of `q_learner`.
"""

from typing import ClassVar

from torch import Tensor, nn

from components.episode_batch import EpisodeBatch
from components.policies import JointAction
from controllers.dcg_controller import DCGController
from learners.q_learner import QLearner, QLearnerConfig
from modules.coordination_graph.factors import Factors
from utils.registry import LEARNERS


@LEARNERS.register("dcg_learner", config=QLearnerConfig)
class DCGLearner(QLearner):
    """As `QLearner`, with `Factors` where that has values of single actions."""

    takes: ClassVar[tuple[str, ...]] = ("a joint action",)
    trains: ClassVar[tuple[type, ...]] = (JointAction,)
    uses_mixer: ClassVar[bool] = False
    needs_team_reward: ClassVar[bool] = True
    controller: DCGController

    def _estimate(self, networks: nn.ModuleDict, batch: EpisodeBatch) -> Factors:
        return self.controller.factors(batch, self._n_estimated(batch), networks["agent"])

    def _greedy(self, estimate: Factors, avail: Tensor) -> Tensor:
        return self.controller.greedy(estimate, avail)

    def _value(
        self,
        networks: nn.ModuleDict,
        estimate: Factors,
        actions: Tensor,
        batch: EpisodeBatch,
        steps: slice,
    ) -> Tensor:
        return estimate.value(actions)
