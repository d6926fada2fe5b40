import numpy as np
import pytest

from modules.coordination_graph.topology import Topology, edge_list, longest_path
from utils.errors import UserError


def edges(topology: Topology, n_agents: int = 4, seed: int = 0) -> list[tuple[int, int]]:
    return edge_list(topology, n_agents, np.random.default_rng(seed))


@pytest.mark.parametrize(
    ("topology", "expected"),
    [
        ("vdn", []),
        ("line", [(0, 1), (1, 2), (2, 3)]),
        ("cycle", [(0, 1), (1, 2), (2, 3), (0, 3)]),
        ("star", [(0, 1), (0, 2), (0, 3)]),
        ("full", [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]),
        (((3, 1), (0, 2), (1, 3)), [(0, 2), (1, 3)]),  # each edge once, smaller index first
        (0, []),
    ],
)
def test_topologies(topology: Topology, expected: list[tuple[int, int]]) -> None:
    assert edges(topology) == expected


@pytest.mark.parametrize("topology", ["line", "cycle", "star", "full"])
def test_two_agents_share_one_edge_and_one_agent_none(topology: Topology) -> None:
    assert edges(topology, 2) == [(0, 1)]
    assert edges(topology, 1) == []


@pytest.mark.parametrize("count", [1, 3, 6])
def test_random_edges_are_different_and_follow_the_seed(count: int) -> None:
    found = edges(count)
    assert len(set(found)) == count
    assert set(found) <= set(edges("full"))
    assert found == edges(count)
    others = {tuple(edges(count, seed=seed)) for seed in range(20)}
    assert (len(others) > 1) == (count < 6)


@pytest.mark.parametrize(
    ("topology", "message"),
    [
        (7, "7 random edges, but 4 agents make only 6 pairs"),
        (-1, "-1 random edges"),
        (((0, 4),), r"\[0, 4\] does not join two of the agents 0 to 3"),
        (((2, 2),), r"\[2, 2\] does not join"),
    ],
)
def test_impossible_edges(topology: Topology, message: str) -> None:
    with pytest.raises(UserError, match=message):
        edges(topology)


@pytest.mark.parametrize(
    ("topology", "longest"),
    [
        ("vdn", 0),
        ("line", 4),
        ("star", 2),
        ("cycle", None),
        ("full", None),
        (((0, 1), (2, 3), (3, 4)), 2),  # two trees
        (((0, 1), (1, 2), (0, 2)), None),  # a triangle and two agents alone
    ],
)
def test_longest_path(topology: Topology, longest: int | None) -> None:
    assert longest_path(edges(topology, 5), 5) == longest
