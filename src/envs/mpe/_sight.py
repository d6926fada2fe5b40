"""Observations in words: each entry is a row of the world's table, or the difference of two.

A world keeps positions, velocities, symbols and signals as rows of one table [F, B]. A scenario
says what an agent sees; the rows are looked up once, and reading B worlds' observations is then a
few operations, exact and the same on every device.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from envs.mpe._scenario import Scenario

Rows = list[tuple[int, int]]  # (row, row to subtract); the last row is always zero


@dataclass(frozen=True)
class Sight:
    """Where in the table things stand, for authors of scenarios.

    Attributes:
        scenario: whose world it is.
    """

    scenario: Scenario

    @property
    def n_entities(self) -> int:
        """E: agents, landmarks, markers."""
        scenario = self.scenario
        return scenario.n_agents + len(scenario.landmarks) + scenario.n_markers

    @property
    def first_velocity(self) -> int:
        """Row of the first velocity: behind 2 E positions."""
        return 2 * self.n_entities

    @property
    def first_symbol(self) -> int:
        """Row of the first symbol: behind 2 N velocities."""
        return self.first_velocity + 2 * self.scenario.n_agents

    @property
    def first_signal(self) -> int:
        """Row of the first signal."""
        return self.first_symbol + sum(agent.n_symbols for agent in self.scenario.agents)

    @property
    def zero(self) -> int:
        """The last row, always zero."""
        return self.first_signal + sum(self.scenario.signals.values())

    def position(self, entity: int) -> Rows:
        """Absolute position, 2 numbers."""
        return self._copies([entity, self.n_entities + entity])

    def relative(self, entity: int, agent: int) -> Rows:
        """Position of `entity` as seen from `agent`, 2 numbers."""
        there, here = self.position(entity), self.position(agent)
        return [(row, minus) for (row, _), (minus, _) in zip(there, here, strict=True)]

    def velocity(self, agent: int) -> Rows:
        """Velocity of an agent, 2 numbers."""
        first = self.first_velocity
        return self._copies([first + agent, first + self.scenario.n_agents + agent])

    def symbol(self, agent: int) -> Rows:
        """What an agent said in the last step, one-hot; zeros before the first."""
        return self._copies(self.symbol_rows(agent))

    def signal(self, name: str, entries: Sequence[int] | None = None) -> Rows:
        """A signal, or only some of its entries."""
        rows = self.signal_rows(name)
        return self._copies(rows if entries is None else [rows[k] for k in entries])

    def symbol_rows(self, agent: int) -> range:
        """Rows of an agent's symbols."""
        agents = self.scenario.agents
        start = self.first_symbol + sum(a.n_symbols for a in agents[:agent])
        return range(start, start + agents[agent].n_symbols)

    def signal_rows(self, name: str) -> range:
        """Rows of a signal."""
        signals = self.scenario.signals
        before = list(signals)[: list(signals).index(name)]
        start = self.first_signal + sum(signals[other] for other in before)
        return range(start, start + signals[name])

    def observation(self, i: int) -> Rows:
        """Everything that agent `i` sees."""
        return [row for piece in self.scenario.observation(i, self) for row in piece]

    def _copies(self, rows: Sequence[int]) -> Rows:
        return [(row, self.zero) for row in rows]


class Reading:
    """Chosen rows of the table as features of B worlds.

    Args:
        rows: what to read, F' entries.
        device: where the table lives.
    """

    def __init__(self, rows: Rows, device: torch.device):
        self.width = len(rows)
        self._plus = torch.tensor([plus for plus, _ in rows], device=device)
        self._minus = torch.tensor([minus for _, minus in rows], device=device)

    def read(self, table: Tensor) -> Tensor:
        """table: [F, B];  out: [B, F'] float32, new memory."""
        rows = table.index_select(0, self._plus)  # [F', B]
        rows.sub_(table.index_select(0, self._minus))
        return rows.float().t().contiguous()


def padded(rows: Rows, width: int, zero: int) -> Rows:
    """`rows` followed by zeros up to `width`."""
    return rows + [(zero, zero)] * (width - len(rows))
