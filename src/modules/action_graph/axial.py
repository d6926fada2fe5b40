"""Axial message passing on the agent x action board: along rows, then along columns.

A node (i, a) first attends to the actions of agent i, (i, .), then to action a of every agent,
(., a). Rows and columns have separate weights, because actions compete differently within an agent
and between agents. A node attends to *others*: its features come by the residual path, so they do
not dilute those of its competitors (docs/results/structured.md). Two rounds reach the
whole board. A layer has about N A (N + A) edges where full attention has (N A)^2, and both
exchanges are batched attention over short sequences.

Source: axial attention, Ho et al., arXiv 1912.12180, with agents and actions for a picture's rows
and columns; "same-action or same-agent" edges, Gupta et al., arXiv 2602.17009, appendix H.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from modules.action_graph.layer import ActionGraphConfig, GraphLayer
from modules.action_graph.nodes import NodeMap


@dataclass(slots=True)
class AxialEdges:
    """Which edges of the board count now."""

    own: Tensor  # [R * N, A, A] bool, or [A, A] if every node counts
    across: Tensor  # [R * A, N, N] bool, or [N, N]

    @classmethod
    def of(cls, node_map: NodeMap, node_avail: Tensor | None, n_rows: int) -> "AxialEdges":
        """node_avail: [R, P] bool, None if all nodes always count; n_rows: R."""
        layout = node_map.layout
        if node_avail is None:
            if layout.is_dense:
                shape = (1, layout.n_agents, layout.slots)
                own, across = cls._both(node_map.flat.new_ones(shape, dtype=torch.bool))
                return cls(own[0], across[0])
            node_avail = torch.ones_like(node_map.flat, dtype=torch.bool).expand(n_rows, -1)
        return cls(*cls._both(node_map.scatter(node_avail.unsqueeze(2)).squeeze(3)))

    @staticmethod
    def _both(counts: Tensor) -> tuple[Tensor, Tensor]:
        """Along rows and columns of the nodes that count, [R, N, A]."""
        return _others(counts), _others(counts.transpose(1, 2))


def _others(counts: Tensor) -> Tensor:
    """Which nodes attend to which: [R, S, P], nodes that count -> [R * S, P, P].

    A node attends to the others that count; without any, to itself, so that a softmax has a term.
    """
    itself = torch.eye(counts.shape[2], dtype=torch.bool, device=counts.device)
    others = counts.flatten(0, 1).unsqueeze(1) & ~itself  # [R * S, P, P]
    return others | (itself & ~others.any(dim=2, keepdim=True))


class AxialLayer(nn.Module):
    """One round along rows and along columns.

    Args:
        config: see `ActionGraphConfig`.
        node_map: where the nodes stand on the board.

    Shapes:
        z: [R, P, d];  out: [R, P, d]
    """

    def __init__(self, config: ActionGraphConfig, node_map: NodeMap):
        super().__init__()
        self.node_map = node_map
        self.own = GraphLayer(replace(config, ffn=False))
        self.across = GraphLayer(config)

    def forward(self, z: Tensor, allowed: AxialEdges) -> Tensor:
        """Node features after attention along rows, then along columns."""
        board = self.node_map.scatter(z)  # [R, N, A, d]
        rows = self.own(board.flatten(0, 1), allowed.own).view_as(board)
        columns = rows.transpose(1, 2)  # [R, A, N, d]
        out = self.across(columns.flatten(0, 1), allowed.across).view_as(columns)
        return self.node_map.gather(out.transpose(1, 2))

    def weights(self, z: Tensor, allowed: AxialEdges) -> list[Tensor]:
        """Attention along rows and along columns, each [R, heads, P, P], zero off the edges."""
        board = self.node_map.scatter(z)
        rows = self.own(board.flatten(0, 1), allowed.own).view_as(board)
        columns = rows.transpose(1, 2)
        of_rows = self.own.weights(board.flatten(0, 1), allowed.own)[0]
        of_columns = self.across.weights(columns.flatten(0, 1), allowed.across)[0]
        n, a = board.shape[1:3]
        along_rows = torch.einsum("rihab,ij->rhiajb", of_rows.unflatten(0, (-1, n)), _eye(n, z))
        along_columns = torch.einsum(
            "rahij,ab->rhiajb", of_columns.unflatten(0, (-1, a)), _eye(a, z)
        )
        nodes = self.node_map.flat
        whole = (w.flatten(4, 5).flatten(2, 3) for w in (along_rows, along_columns))
        return [w[:, :, nodes][:, :, :, nodes] for w in whole]


def _eye(n: int, like: Tensor) -> Tensor:
    return torch.eye(n, dtype=like.dtype, device=like.device)
