"""Which pairs of agents share a pay-off: the edges of a coordination graph.

Source: Boehmer, Kurin & Whiteson, arXiv 1910.00091, section 5 and their public code's topologies.
Departures: an edge is listed once (their cycle of two agents has it twice), and a number of random
edges may be as large as the number of pairs. Random edges are drawn from the run's seed.
"""

from itertools import combinations
from typing import Literal

import numpy as np

from utils.errors import UserError

Edge = tuple[int, int]
Topology = Literal["vdn", "line", "cycle", "star", "full"] | int | tuple[Edge, ...]


def edge_list(topology: Topology, n_agents: int, generator: np.random.Generator) -> list[Edge]:
    """The undirected edges (i, j), i < j, of a topology.

    Args:
        topology: a name, a number of different random edges, or the edges themselves.
        n_agents: N.
        generator: draws random edges.

    Raises:
        UserError: for more edges than pairs, or an edge that joins no two agents.
    """
    n = n_agents
    pairs = list(combinations(range(n), 2))
    line = [(i, i + 1) for i in range(n - 1)]
    named = {
        "vdn": [],
        "line": line,
        "cycle": [*line, (0, n - 1)] if n > 2 else line,
        "star": [(0, i) for i in range(1, n)],
        "full": pairs,
    }
    if isinstance(topology, str):
        return named[topology]
    if isinstance(topology, int):
        if not 0 <= topology <= len(pairs):
            raise UserError(
                f"controller_args.edges: {topology} random edges, but {n} agents make only "
                f"{len(pairs)} pairs. Write a number from 0 to {len(pairs)}."
            )
        chosen = generator.choice(len(pairs), size=topology, replace=False)
        return [pairs[k] for k in sorted(chosen)]
    for i, j in topology:
        if i == j or not (0 <= i < n and 0 <= j < n):
            raise UserError(
                f"controller_args.edges: [{i}, {j}] does not join two of the agents 0 to {n - 1}."
            )
    return sorted({(min(edge), max(edge)) for edge in topology})


def longest_path(edges: list[Edge], n_agents: int) -> int | None:
    """Edges on the longest path of a graph without cycles; None if it has a cycle.

    Undamped messages on a forest are final after that many iterations.
    """
    distance = np.where(np.eye(n_agents, dtype=bool), 0.0, np.inf)
    for i, j in edges:
        if np.isfinite(distance[i, j]):
            return None  # joined already: this edge closes a cycle
        through = distance[:, i, None] + 1 + distance[None, j, :]
        distance = np.minimum(distance, np.minimum(through, through.T))
    return int(distance[np.isfinite(distance)].max())
