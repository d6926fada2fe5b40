"""The base agent of PyMARL: Linear-ReLU-GRU-Linear; without memory a linear layer for the GRU.

Source: Rashid et al., arXiv 1803.11485; Samvelyan et al., arXiv 1902.04043. Departure from PyMARL:
the network takes whole sequences, so that training is one call, and separate parameters per agent
are a setting.
"""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from modules.agents.base import AgentInputs, AgentSizes
from modules.choices import last_layer
from modules.layers import AgentwiseGRU, AgentwiseLinear, SequenceGRU
from utils.errors import out_of_range, unread, validate
from utils.registry import AGENTS


@dataclass(frozen=True)
class RNNAgentConfig:
    """Settings of `rnn_agent`."""

    share_parameters: bool = True  # false: separate weights for each agent
    head: Literal["vector", "additive"] = "vector"  # additive: numbers per choice, where an action
    # is several choices, and their sum per action
    pair_rank: int = 0  # additive: size of the vectors whose products tie two choices; 0: none

    def __post_init__(self) -> None:
        validate(
            *out_of_range(self, 0, 1024, "pair_rank"),
            *unread(self, self.head == "additive", "head=additive", "pair_rank"),
        )


@AGENTS.register("rnn_agent", config=RNNAgentConfig)
class RNNAgent(nn.Module):
    """Outputs one number per action from each agent's own history.

    Shapes:
        inputs.x: [B, L, N, F];  hidden: [B, N, H] or None
        outputs: [B, L, N, A];  next hidden: [B, N, H], None without GRU
    """

    def __init__(self, config: RNNAgentConfig, sizes: AgentSizes):
        super().__init__()
        h, n = sizes.hidden_dim, sizes.n_agents

        def linear(fan_in: int, fan_out: int) -> nn.Module:
            if config.share_parameters:
                return nn.Linear(fan_in, fan_out)
            return AgentwiseLinear(n, fan_in, fan_out)

        self.feature_dim = h
        self.first = linear(sizes.input_dim, h)
        self.memory: nn.Module | None = None
        self.middle: nn.Module | None = None
        if not sizes.use_rnn:
            self.middle = linear(h, h)
        elif config.share_parameters:
            self.memory = SequenceGRU(h, h)
        else:
            self.memory = AgentwiseGRU(n, h, h)
        self.last = last_layer(linear, h, sizes, config.head, config.pair_rank)

    @override
    def forward(self, inputs: AgentInputs, hidden: Tensor | None) -> tuple[Tensor, Tensor | None]:
        z, hidden = self.features(inputs, hidden)
        return self.last(z), hidden

    def features(self, inputs: AgentInputs, hidden: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Inputs of the last layer, [B, L, N, H], and the next memory: see `HasFeatures`."""
        z = functional.relu(self.first(inputs.x))
        if self.memory is not None:
            z, hidden = self.memory(z, hidden, inputs.resets)
        elif self.middle is not None:
            z = functional.relu(self.middle(z))
        return z, hidden
