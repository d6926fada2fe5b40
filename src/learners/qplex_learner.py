"""Q-learning with QPLEX's mixer, which also reads each agent's best value and the joint action.

Source: Wang et al., *QPLEX*, arXiv 2008.01062; equations: `modules/mixers/qplex.py`. The loss is
that of `q_learner`. As in the authors' code, the target mixer gets the target network's values at
the online network's greedy actions, and their maxima by the target network itself.

Departures: those of `q_learner`. Without `double_q` the target network chooses the actions too, so
that their values are its maxima.
"""

from typing import ClassVar

from torch import Tensor, nn

from components.episode_batch import EpisodeBatch
from components.masking import of_present, taken
from components.policies import greedy_actions
from learners.q_learner import QLearner, QLearnerConfig
from utils.registry import LEARNERS


@LEARNERS.register("qplex_learner", config=QLearnerConfig)
class QPlexLearner(QLearner):
    """As `QLearner`, whose mixer gets the agents' best values and actions too."""

    needs_team_reward: ClassVar[bool] = True
    mixes: ClassVar[str] = "values and their maxima"

    def _value(
        self,
        networks: nn.ModuleDict,
        estimate: Tensor,
        actions: Tensor,
        batch: EpisodeBatch,
        steps: slice,
    ) -> Tensor:
        best = greedy_actions(estimate.detach(), batch.avail[:, steps])  # [B, L, N]
        q_taken, q_max = (of_present(taken(estimate, a), batch, steps) for a in (actions, best))
        active = None if batch.is_active is None else batch.is_active[:, steps]
        mixed: Tensor = networks["mixer"](q_taken, batch.state[:, steps], q_max, actions, active)
        return mixed
