"""Learners that draw random numbers, from a separate stream that a checkpoint holds."""

from typing import Any

import torch
from torch import Tensor, nn

from components.policies import Policy, gumbel
from components.settings import TrainingSettings
from controllers.basic_controller import BasicController
from learners.base import Learner
from utils.seeding import generator_state, restore_generator, torch_generator


class SamplingLearner(Learner):
    """A learner with a stream of random numbers.

    Args:
        settings: discount, optimiser, target updates.
        controller: runs the agents' network.
        online: the modules that are trained.
        t_max: environment steps of the whole run.
        clip_groups: as in `Learner`.
    """

    def __init__(
        self,
        settings: TrainingSettings,
        controller: BasicController,
        online: nn.ModuleDict,
        t_max: int,
        clip_groups: tuple[tuple[str, ...], ...],
    ):
        super().__init__(settings, online, t_max, clip_groups)
        self.controller = controller
        self.generator = torch_generator(controller.seed, "learner", device=controller.device)

    @property
    def generators(self) -> tuple[torch.Generator, ...]:
        """The stream."""
        return (self.generator,)

    def noise_of(self, policy: Policy) -> Tensor:
        """What a sample of policies is made of, from the stream."""
        return policy.noise(self.generator)

    def noise(self, shape: torch.Size) -> Tensor:
        """Gumbel noise from the stream: argmax(log pi + noise) samples pi."""
        return gumbel(shape, self.generator, self.controller.device)

    def state_dict(self) -> dict[str, Any]:
        """As `Learner.state_dict`, and the stream."""
        return super().state_dict() | {"generator": generator_state(self.generator)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """As `Learner.load_state_dict`."""
        super().load_state_dict(state)
        restore_generator(self.generator, state["generator"])
