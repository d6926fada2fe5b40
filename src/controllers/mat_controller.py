"""The Multi-Agent Transformer's controller: agents choose in the order of their ids.

Source: Wen et al., arXiv 2205.14953; the network is `modules/agents/mat_agent.py`. While acting,
each agent waits for the actions of those before it; in training all actions are known, so that
whole episodes are one pass. Every agent's observation and the actions so far are shared.
"""

from dataclasses import replace
from typing import ClassVar, cast

import torch
from torch import Tensor

from components.episode_batch import EpisodeBatch
from components.policies import greedy_actions
from controllers.basic_controller import (
    BasicController,
    BasicControllerConfig,
    Select,
    one_by_one,
)
from envs.base import EnvStep
from modules.agents.base import AgentInputs, ChoosesInOrder
from utils.registry import CONTROLLERS


@CONTROLLERS.register("mat_controller", config=BasicControllerConfig)
class MATController(BasicController):
    """Acts in order; `outputs` are logits given the actions that were taken.

    They exist for steps with an action, so for the first T steps of an episode, not T+1.
    """

    gives: ClassVar[str] = "outputs given the actions of agents before"
    in_order: ClassVar[bool] = True
    acts_continuously: ClassVar[bool] = False
    needs_team_reward: ClassVar[bool] = True

    def choose(
        self,
        step: EnvStep,
        last_actions: Tensor | None,
        noise: Tensor | None,
        hidden: Tensor | None,
        select: Select,
        greedy: bool,
    ) -> tuple[Tensor, Tensor | None]:
        """As `BasicController.choose`; here one agent after the other, in tests too."""
        network = cast(ChoosesInOrder, self.agent)
        inputs = self.step_inputs(step, last_actions, noise)
        return network.choose(inputs, one_by_one(select, step.avail)), hidden

    def act(
        self,
        step: EnvStep,
        last_actions: Tensor | None,
        noise: Tensor | None,
        hidden: Tensor | None,
    ) -> tuple[Tensor, Tensor | None]:
        """As `BasicController.act`; each agent's logits given the greedy actions before it."""
        logits = []

        def select(outputs: Tensor, avail: Tensor) -> Tensor:
            logits.append(outputs)
            return greedy_actions(outputs, avail)

        _, hidden = self.choose(step, last_actions, noise, hidden, select, greedy=True)
        return torch.cat(logits, dim=1), hidden

    def agent_inputs(self, batch: EpisodeBatch, n_steps: int) -> AgentInputs:
        """As `BasicController.agent_inputs`; with the actions of those steps that have them."""
        return replace(super().agent_inputs(batch, n_steps), actions=batch.actions[:, :n_steps])
