"""A trained controller that plays greedily: in Python code, or as the opponent in a run."""

import torch
from torch import Tensor

from components.action_selectors import ActionSelector
from controllers.basic_controller import BasicController
from envs.base import EnvStep


class GreedyPlayer:
    """A `Player` of envs/base.py: greedy, frozen, with the controller's memory of one episode.

    Attributes:
        hidden: the network's memory, None before an episode's first step.
    """

    def __init__(self, controller: BasicController, selector: ActionSelector):
        self.controller, self.selector = controller, selector
        self.hidden: Tensor | None = None

    @torch.no_grad()
    def act(self, step: EnvStep, last_actions: Tensor | None, generator: torch.Generator) -> Tensor:
        """Greedy actions for one step, [B, N]; the first step of an episode resets the memory."""
        if last_actions is None:
            self.hidden = None
        noise = self.controller.draw_noise(len(step.obs), generator)

        def select(outputs: Tensor, avail: Tensor) -> Tensor:
            return self.selector.select(outputs, avail, 0, True, generator)

        actions, self.hidden = self.controller.choose(
            step, last_actions, noise, self.hidden, select, greedy=True
        )
        return actions
