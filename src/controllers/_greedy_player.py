"""A trained controller that plays on its own: outside a run, or against one as its opponent."""

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
        """See `Player`."""
        if last_actions is None:
            self.hidden = None
        noise = self.controller.draw_noise(len(step.obs), generator)

        def select(outputs: Tensor, avail: Tensor) -> Tensor:
            return self.selector.select(outputs, avail, 0, True, generator)

        actions, self.hidden = self.controller.choose(
            step, last_actions, noise, self.hidden, select, greedy=True
        )
        return actions
