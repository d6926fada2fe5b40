"""No critic, for learners that estimate values by the agents' own networks."""

from typing import ClassVar

from modules.critics.base import Critic
from utils.registry import CRITICS


@CRITICS.register("none")
class NoCritic(Critic):
    """Never called."""

    estimates: ClassVar[str] = "nothing"
