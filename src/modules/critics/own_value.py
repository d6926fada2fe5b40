"""Local critics: the value of what one agent sees, as in IPPO and IA2C.

Source: de Witt et al., arXiv 2011.09533; Papoudakis et al., arXiv 2006.07869. One network for all
agents, on the inputs of the agent's policy, without memory.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from modules.critics.base import Critic, CriticInputs, CriticSizes, MLPCriticConfig
from modules.initialisation import orthogonal_mlp
from utils.registry import CRITICS
from utils.shapes import check


@dataclass(frozen=True)
class OwnValueConfig(MLPCriticConfig):
    """Settings of `own_value`."""


@CRITICS.register("own_value", config=OwnValueConfig)
class OwnValue(Critic):
    """V_i = MLP(x_i).

    Shapes:
        inputs.own: [B, L, N, F];  out: [B, L, N]
    """

    estimates: ClassVar[str] = "values of states"

    def __init__(self, config: OwnValueConfig, sizes: CriticSizes):
        super().__init__(config, sizes)
        self.n_values = sizes.n_agents
        hidden = [sizes.hidden_dim] * config.hidden_layers
        self.network = orthogonal_mlp([sizes.input_dim, *hidden, 1])

    def forward(self, inputs: CriticInputs) -> Tensor:
        """Each agent's value of what it sees."""
        check(inputs.own, "B L N F")
        values: Tensor = self.network(inputs.own)
        return values.squeeze(3)
