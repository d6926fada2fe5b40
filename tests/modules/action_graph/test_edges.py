from itertools import product
from typing import get_args

import pytest
import torch
from tests.helpers.fake_envs import fake_sizes

from modules.action_graph.edges import EdgeSet, allowed_edges, edge_mask
from modules.action_graph.nodes import NodeLayout

TYPES = ((0, 1, 2, 3), (1, 0, 0, 0), (0, 1, 2, 0))
LAYOUT = NodeLayout.build(fake_sizes(action_counts=(4, 2, 3), action_types=TYPES))
NODES = [(i, TYPES[i][a]) for i, a in zip(LAYOUT.agent, LAYOUT.action, strict=True)]
RULES = {
    "full": lambda i, a, j, c: True,
    "within_agent": lambda i, a, j, c: i == j,
    "cross_agent": lambda i, a, j, c: i != j,
    "same_action": lambda i, a, j, c: a == c,
    "rook": lambda i, a, j, c: i == j or a == c,
    "self": lambda i, a, j, c: False,
}


def test_every_set_has_a_rule_here() -> None:
    assert set(RULES) == set(get_args(EdgeSet))


@pytest.mark.parametrize("edges", get_args(EdgeSet))
def test_sets_by_their_definition(edges: EdgeSet) -> None:
    mask = edge_mask(LAYOUT, edges)
    if mask is None:
        assert edges == "full"
        return
    assert mask.shape == (9, 9)
    assert mask.dtype == torch.bool
    for p, q in product(range(9), range(9)):
        assert mask[p, q] == (p == q or RULES[edges](*NODES[p], *NODES[q])), (p, q)


def test_unknown_set() -> None:
    with pytest.raises(ValueError, match="unknown edge set 'ring'; choose one of full,"):
        edge_mask(LAYOUT, "ring")  # type: ignore[arg-type]


def test_unavailable_nodes_send_only_to_themselves() -> None:
    avail = torch.rand(5, 9, generator=torch.Generator().manual_seed(0)) < 0.5
    avail[0] = False
    for edges in (None, edge_mask(LAYOUT, "rook")):
        allowed = allowed_edges(edges, avail).expand(5, 9, 9)
        for r, p, q in product(range(5), range(9), range(9)):
            exists = edges is None or edges[p, q]
            assert allowed[r, p, q] == (p == q or (exists and avail[r, q]))


def test_without_availability_the_edges_are_all_there_is() -> None:
    assert allowed_edges(None, None) is None
    edges = edge_mask(LAYOUT, "self")
    assert allowed_edges(edges, None) is edges
