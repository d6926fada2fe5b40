"""Values from the encoder of the policies, as in the Multi-Agent Transformer.

Source: Wen et al., arXiv 2205.14953. The critic's own weights are one head; its loss also trains
the encoder, which belongs to the policies' network. As in the authors' code each agent has a value,
which its own advantage is measured by; the paper takes the mean of them.
"""

from typing import Any, ClassVar

from torch import Tensor

from modules.critics.base import Critic, CriticInputs, CriticSizes
from modules.transformer import two_layers
from utils.registry import CRITICS
from utils.shapes import check


@CRITICS.register("encoder_value")
class EncoderValue(Critic):
    """V_i = head(e_i), the same weights for all agents.

    Shapes:
        inputs.encoded: [B, L, N, d];  out: [B, L, N]
    """

    estimates: ClassVar[str] = "values of states"
    needs_encoder: ClassVar[bool] = True

    def __init__(self, config: Any, sizes: CriticSizes):
        super().__init__(config, sizes)
        self.n_values = sizes.n_agents
        self.head = two_layers(sizes.encoded_dim, 1, norm=True)

    def forward(self, inputs: CriticInputs) -> Tensor:
        """Each agent's estimate of the team's value."""
        assert inputs.encoded is not None
        check(inputs.encoded, "B L N d")
        values: Tensor = self.head(inputs.encoded)
        return values.squeeze(3)
