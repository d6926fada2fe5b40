"""Central critic: the value of the environment's state, as in MAPPO and MAA2C.

Source: Yu et al., arXiv 2103.01955; Papoudakis et al., arXiv 2006.07869. Departure: the value of a
team is one number, not one per agent; with individual rewards one network has an output per agent.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from modules.critics.base import Critic, CriticInputs, CriticSizes, MLPCriticConfig
from modules.initialisation import orthogonal_mlp
from utils.registry import CRITICS
from utils.shapes import check


@dataclass(frozen=True)
class StateValueConfig(MLPCriticConfig):
    """Settings of `state_value`."""


@CRITICS.register("state_value", config=StateValueConfig)
class StateValue(Critic):
    """V(s) = MLP(s).

    Shapes:
        inputs.state: [B, L, S];  out: [B, L, R], R = 1 for a team, N if rewards are individual
    """

    estimates: ClassVar[str] = "values of states"
    needs_state: ClassVar[bool] = True

    def __init__(self, config: StateValueConfig, sizes: CriticSizes):
        super().__init__(config, sizes)
        self.n_values = sizes.n_rewards
        hidden = [sizes.hidden_dim] * config.hidden_layers
        self.network = orthogonal_mlp([sizes.state_dim, *hidden, self.n_values])

    def forward(self, inputs: CriticInputs) -> Tensor:
        """The values of the states."""
        check(inputs.state, "B L S")
        values: Tensor = self.network(inputs.state)
        return values
