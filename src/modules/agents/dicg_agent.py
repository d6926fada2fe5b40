"""Agents on an implicit coordination graph: DICG, value-based or as policies.

Source: Li, Gupta, Morales, Allen & Kochenderfer, *Deep Implicit Coordination Graphs*, AAMAS 2021,
arXiv 2006.11438. The graph is `modules/implicit_graph.py`; with E~_i its embedding of agent i,

    outputs_i = base(aggregate(E~_i))

The parts on agents work on all B x L graphs at once; only the base agent may have a memory.

Departures: `dicg.yaml` is the value-based form under QMIX that comparisons of Q-learning methods
use. It has an aggregator, and an encoder with ReLU behind its first layer and nothing behind its
second. `dicg_ce.yaml` is the paper's policy with centralised execution: the authors' encoder and no
aggregator. Its head is the base agent of every method here, where the authors have an MLP of 128,
64 and 32 units with tanh, or an LSTM. Embeddings have the paper's 64 features; value-based versions
elsewhere use as many as the input has (`embed_dim: 0`), which in a task with one number per
observation leaves one.
"""

from dataclasses import dataclass, replace

from torch import Tensor, nn
from typing_extensions import override

from modules.agents.base import AgentInputs, AgentSizes
from modules.agents.rnn_agent import RNNAgent, RNNAgentConfig
from modules.implicit_graph import ImplicitGraph, ImplicitGraphConfig
from utils.registry import AGENTS


@dataclass(frozen=True)
class DICGAgentConfig(ImplicitGraphConfig):
    """Settings of `dicg_agent`."""

    aggregator: bool = True  # two layers between the graph and the base agent


@AGENTS.register("dicg_agent", config=DICGAgentConfig)
class DICGAgent(ImplicitGraph):
    """Implicit graph, aggregator, base agent; all weights are shared by the agents.

    Shapes:
        inputs.x: [B, L, N, F];  hidden: [B, N, H] or None
        outputs: [B, L, N, A];  next hidden: [B, N, H], None without GRU
    """

    def __init__(self, config: DICGAgentConfig, sizes: AgentSizes):
        super().__init__(config, sizes.input_dim)
        d, h = config.embed_dim or sizes.input_dim, config.encoder_dim
        self.aggregator: nn.Module = nn.Identity()
        if config.aggregator:
            self.aggregator = nn.Sequential(nn.Linear(d, h), nn.ReLU(), nn.Linear(h, d))
        self.base = RNNAgent(RNNAgentConfig(), replace(sizes, input_dim=d))

    @override
    def forward(self, inputs: AgentInputs, hidden: Tensor | None) -> tuple[Tensor, Tensor | None]:
        context = self.context(inputs.x, inputs.is_active)  # [B, L, N, d]
        return self.base(replace(inputs, x=self.aggregator(context)), hidden)
