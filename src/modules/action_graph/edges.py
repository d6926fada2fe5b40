"""Edge sets of an action graph: which node may attend to which.

Source: Gupta et al., arXiv 2602.17009: `full` is the method, `within_agent` its ablation 1.
"Same-action or same-agent" neighbourhoods are mentioned in its appendix H (`rook` joins the two, as
a rook moves on the agent x action board). Every set includes each node itself, so that no softmax
is ever empty.
"""

from typing import Literal, get_args

import torch
from torch import Tensor

from modules.action_graph.nodes import NodeLayout

EdgeSet = Literal["full", "within_agent", "cross_agent", "same_action", "rook", "self"]
RELATIONS = ("self", "same_agent", "same_action", "other")


def edge_mask(layout: NodeLayout, edges: EdgeSet) -> Tensor | None:
    """Which node (row) may attend to which (column).

    Args:
        layout: the P nodes.
        edges: name of the set.

    Returns:
        [P, P] bool, or None for `full`, where every edge exists.

    Raises:
        ValueError: if the name is unknown.
    """
    agent, kind = torch.tensor(layout.agent), torch.tensor(layout.action_type)
    same_agent = agent.unsqueeze(0) == agent.unsqueeze(1)
    same_action = kind.unsqueeze(0) == kind.unsqueeze(1)
    itself = torch.eye(layout.n_nodes, dtype=torch.bool)
    if edges == "full":
        return None
    if edges == "within_agent":
        return same_agent
    if edges == "cross_agent":
        return ~same_agent | itself
    if edges == "same_action":
        return same_action
    if edges == "rook":
        return same_action | same_agent
    if edges == "self":
        return itself
    raise ValueError(f"unknown edge set '{edges}'; choose one of {', '.join(get_args(EdgeSet))}.")


def relations(layout: NodeLayout) -> Tensor:
    """The relation of each pair of nodes, [P, P]: an index into `RELATIONS`."""
    agent, kind = torch.tensor(layout.agent), torch.tensor(layout.action_type)
    same_agent = agent.unsqueeze(0) == agent.unsqueeze(1)
    same_action = kind.unsqueeze(0) == kind.unsqueeze(1)
    relation = torch.full_like(same_agent, RELATIONS.index("other"), dtype=torch.long)
    relation[same_action] = RELATIONS.index("same_action")
    relation[same_agent] = RELATIONS.index("same_agent")
    relation.fill_diagonal_(RELATIONS.index("self"))
    return relation


def allowed_edges(edges: Tensor | None, node_avail: Tensor | None) -> Tensor | None:
    """Edges at given availabilities: unavailable nodes send nothing, except to themselves.

    Args:
        edges: [P, P] bool or None (all).
        node_avail: [R, P] bool or None (all).

    Returns:
        Something that broadcasts to [R, P, P] bool; None if everything is allowed.
    """
    if node_avail is None:
        return edges
    allowed = node_avail.unsqueeze(1)  # [R, 1, P]
    if edges is not None:
        allowed = allowed & edges  # [R, P, P]
    itself = torch.eye(node_avail.shape[1], dtype=torch.bool, device=node_avail.device)
    return allowed | itself
