"""From the attention between nodes of an action graph to the attention between agents."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from modules.action_graph.nodes import NodeLayout


def between_agents(weights: Tensor, layout: "NodeLayout", counts: Tensor) -> Tensor:
    """How much each agent attends to each agent, itself included.

    Mean over heads and over the available nodes of the agent that attends, sum over all nodes of
    the agent attended to; so a row sums to 1, or to 0 for an agent that takes no part.

    Args:
        weights: attention of one layer.
        layout: which nodes there are.
        counts: which nodes count, see `NodeMap.available`.

    Shapes:
        weights: [B, L, heads, P, P];  counts: [B, L, P] bool
        out: [B, L, N, N], from agent (row) to agent (column)
    """
    agent = torch.tensor(layout.agent, device=weights.device)
    member = functional.one_hot(agent, layout.n_agents).float()  # [P, N]
    counted = counts.float()
    to_agents = weights.mean(dim=2) @ member  # [B, L, P, N]
    total = member.t() @ (to_agents * counted.unsqueeze(3))  # [B, L, N, N]
    return total / (counted @ member).clamp(min=1).unsqueeze(3)
