"""From the attention between nodes of an action graph to the attention between agents."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from modules.action_graph.nodes import NodeLayout


def between_agents(
    weights: Tensor, layout: "NodeLayout", avail: Tensor, is_active: Tensor | None = None
) -> Tensor:
    """How much each agent attends to each agent, itself included.

    Mean over heads and over the available nodes of the agent that attends, sum over all nodes of
    the agent attended to; so a row sums to 1, or to 0 for an agent that takes no part.

    Args:
        weights: attention of one layer.
        layout: which nodes there are.
        avail: which actions are available.
        is_active: which agents take part, None for all.

    Shapes:
        weights: [B, L, heads, P, P];  avail: [B, L, N, A] bool;  is_active: [B, L, N] bool
        out: [B, L, N, N], from agent (row) to agent (column)
    """
    agent, action = (torch.tensor(x, device=weights.device) for x in (layout.agent, layout.action))
    if layout.slots == 1:
        avail = avail.any(dim=3, keepdim=True)  # [B, L, N, 1]
    if is_active is not None:
        avail = avail & is_active.unsqueeze(3)
    counts = avail[:, :, agent, action].float()  # [B, L, P], 1 where the node counts
    member = functional.one_hot(agent, layout.n_agents).float()  # [P, N]
    to_agents = weights.mean(dim=2) @ member  # [B, L, P, N]
    total = member.t() @ (to_agents * counts.unsqueeze(3))  # [B, L, N, N]
    return total / (counts @ member).clamp(min=1).unsqueeze(3)
