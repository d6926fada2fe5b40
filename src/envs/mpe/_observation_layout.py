"""Where observations lie in a world's table: each entry is a row, or the difference of two rows.

A world keeps positions, velocities, symbols and signals as rows of one table [F, B]. A scenario
lists the rows that an agent observes. They are looked up once; gathering the observations of B
worlds is then a few operations, exact and the same on every device.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from envs.mpe._entities import Entities

Rows = list[tuple[int, int]]  # (row, row to subtract); the last row is always zero


@dataclass(frozen=True)
class ObservationLayout:
    """The rows of the table, by what they hold.

    Attributes:
        entities: what is in the world.
    """

    entities: Entities

    @property
    def n_entities(self) -> int:
        """E: agents, landmarks, markers."""
        entities = self.entities
        return entities.n_agents + len(entities.landmarks) + entities.n_markers

    @property
    def first_velocity(self) -> int:
        """Row of the first velocity: behind 2 E positions."""
        return 2 * self.n_entities

    @property
    def first_symbol(self) -> int:
        """Row of the first symbol: behind 2 N velocities."""
        return self.first_velocity + 2 * self.entities.n_agents

    @property
    def first_signal(self) -> int:
        """Row of the first signal."""
        return self.first_symbol + sum(agent.n_symbols for agent in self.entities.agents)

    @property
    def zero(self) -> int:
        """The last row, always zero."""
        return self.first_signal + sum(self.entities.signals.values())

    def position(self, entity: int) -> Rows:
        """Absolute position, 2 numbers."""
        return self._plain([entity, self.n_entities + entity])

    def relative(self, entity: int, agent: int) -> Rows:
        """Position of `entity` as seen from `agent`, 2 numbers."""
        there, here = self.position(entity), self.position(agent)
        return [(row, minus) for (row, _), (minus, _) in zip(there, here, strict=True)]

    def velocity(self, agent: int) -> Rows:
        """Velocity of an agent, 2 numbers."""
        first = self.first_velocity
        return self._plain([first + agent, first + self.entities.n_agents + agent])

    def symbol(self, agent: int) -> Rows:
        """The symbol that an agent sent in the last step, one-hot; zeros before the first."""
        return self._plain(self.symbol_rows(agent))

    def signal(self, name: str, entries: Sequence[int] | None = None) -> Rows:
        """A signal, or only some of its entries."""
        rows = self.signal_rows(name)
        return self._plain(rows if entries is None else [rows[k] for k in entries])

    def symbol_rows(self, agent: int) -> range:
        """Rows of an agent's symbols."""
        agents = self.entities.agents
        start = self.first_symbol + sum(a.n_symbols for a in agents[:agent])
        return range(start, start + agents[agent].n_symbols)

    def signal_rows(self, name: str) -> range:
        """Rows of a signal."""
        signals = self.entities.signals
        before = list(signals)[: list(signals).index(name)]
        start = self.first_signal + sum(signals[other] for other in before)
        return range(start, start + signals[name])

    def _plain(self, rows: Sequence[int]) -> Rows:
        return [(row, self.zero) for row in rows]


class ObservationGather:
    """Gathers rows of the table as features of B worlds.

    Args:
        rows: what to gather, F' entries.
        device: of the table.
    """

    def __init__(self, rows: Rows, device: torch.device):
        self.width = len(rows)
        self._plus = torch.tensor([plus for plus, _ in rows], device=device)
        self._minus = torch.tensor([minus for _, minus in rows], device=device)

    def gather(self, table: Tensor) -> Tensor:
        """table: [F, B];  out: [B, F'] float32, new memory."""
        rows = table.index_select(0, self._plus)  # [F', B]
        rows.sub_(table.index_select(0, self._minus))
        return rows.float().t().contiguous()


def padded(rows: Rows, width: int, zero: int) -> Rows:
    """`rows` followed by zeros up to `width`."""
    return rows + [(zero, zero)] * (width - len(rows))
