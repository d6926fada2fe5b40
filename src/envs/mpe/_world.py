"""B particle worlds in lockstep: one step of physics as a short, fixed list of tensor operations.

Agrees with the worlds of mpe2 1.1.1 (tests/envs/mpe/test_equivalence.py). In order, per step:

1. forces: the agents' moves (`_actions.py`), plus a contact force between solid bodies that all but
   touch, of size 100 k log(1 + exp(d / k)), where d is how deep they overlap and k = 0.001;
2. position <- position + 0.1 velocity, with the velocity *before* this step;
3. velocity <- 0.75 velocity + 0.1 force (mass 1), shortened to the agent's largest speed;
4. symbols become visible; distances are measured, for rewards now and for contacts next time.

Bodies in the same place exert no force (mpe2 divides by zero there).
"""

import math
from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor

from envs.mpe._actions import DT, ContinuousActions, DiscreteActions
from envs.mpe._entities import MOVES, Agent, Entities, Landmark
from envs.mpe._observation_layout import ObservationLayout, Rows

KEPT = 0.75  # of the velocity after damping
CONTACT_FORCE = 100.0
CONTACT_MARGIN = 1e-3  # k
TINY = 1e-12  # distance that stands in for zero


class WorldRules(Entities, ABC):
    """What a world asks of its scenario, besides what is in it."""

    @abstractmethod
    def observation(self, i: int, layout: ObservationLayout) -> list[Rows]:
        """What agent `i` observes, in order; called once, when the environment is built."""

    def draw(self, world: "World", generator: torch.Generator) -> None:
        """Begin an episode: positions are drawn, now choose goals and fill `signals`."""

    def sense(self, world: "World") -> None:
        """After every reset and step: fill those `signals` that depend on positions."""

    @abstractmethod
    def rewards(self, world: "World") -> tuple[Tensor, Tensor | None]:
        """Of the step just taken: every agent's reward [N, B], counted events [n_events, B]."""


class World:
    """B worlds of one scenario.

    Args:
        scenario: what is in them.
        batch_size: B.
        device: where their tensors live.
        dtype: float64 as in mpe2, or float32.
        layout: of the table, if it has more rows than `ObservationLayout`.
        continuous: agents act by numbers, see `_actions.py`.

    Attributes:
        table: [F, B], all that can be observed (`_observation_layout.py`); it holds the next three.
        position: [2, E, B]
        velocity: [2, N, B]
        symbols: [n, B], what all speaking agents say, one after the other: one-hot, or strengths.
        offset: [2, P, B], first entity minus second of every measured pair.
        distances: [P, B]
        actions: what agents do.
        reach: [P, 1], a pair closer than this overlaps.
    """

    def __init__(
        self,
        scenario: WorldRules,
        batch_size: int,
        device: torch.device,
        dtype: torch.dtype = torch.float64,
        layout: ObservationLayout | None = None,
        continuous: bool = False,
    ):
        self.scenario, self.batch_size = scenario, batch_size
        self.device, self.dtype = device, dtype
        self.layout = layout = layout or ObservationLayout(scenario)
        n, e, b = scenario.n_agents, layout.n_entities, batch_size
        self._constants: dict[tuple[tuple[float, ...], ...], Tensor] = {}
        with torch.inference_mode(False):  # kept tensors are written to in either mode
            self.table = torch.zeros(layout.zero + 1, b, device=device, dtype=dtype)
            self.position = self.table[: 2 * e].view(2, e, b)
            self.velocity = self.table[2 * e : 2 * (e + n)].view(2, n, b)
            self._agents_position = self.position[:, :n]
            self.symbols = self.table[layout.first_symbol : layout.first_signal]
            self._build_actions(continuous)
            self._build_pairs()
            self._build_spread()
            self.offset = torch.zeros(2, len(self._pairs), b, device=device, dtype=dtype)
            self.distances = torch.zeros(len(self._pairs), b, device=device, dtype=dtype)

    def _constant(self, values: object, dtype: torch.dtype | None = None) -> Tensor:
        return torch.tensor(values, device=self.device, dtype=dtype or self.dtype)

    def constant(self, rows: tuple[tuple[float, ...], ...]) -> Tensor:
        """`rows` as a tensor on the worlds' device, uploaded at the first call only."""
        if rows not in self._constants:
            self._constants[rows] = self._constant(rows)
        return self._constants[rows]

    def _build_actions(self, continuous: bool) -> None:
        agents = self.scenario.agents
        kind = ContinuousActions if continuous else DiscreteActions
        self.actions: ContinuousActions | DiscreteActions = kind(agents, self._constant)
        self.moves = any(agent.accel for agent in agents)
        self._n_impulses = 2 * len(agents) if self.moves else 0
        impulses = [
            [[move[axis] * agent.accel * DT for agent in agents] for move in MOVES]
            for axis in range(2)
        ]
        self._impulses = self._constant(impulses).unsqueeze(3)  # [2, moves, N, 1]
        speeds = [agent.max_speed for agent in agents]
        self._max_speed = self._constant(speeds).unsqueeze(1)  # [N, 1]
        self._has_max_speed = not all(math.isinf(speed) for speed in speeds)

    def _build_pairs(self) -> None:
        """Order: contacts of two agents, contacts with landmarks, pairs that are only measured."""
        scenario = self.scenario
        agents, n = scenario.agents, scenario.n_agents
        bodies: list[Agent | Landmark] = [*agents, *scenario.landmarks]
        solid = [k for k, body in enumerate(bodies) if body.collides]
        contacts = {(i, j) for i in solid for j in solid if i < j and i < n and agents[i].accel}
        asked = [tuple(sorted(pair)) for group in scenario.pairs.values() for pair in group]
        known = [pair for pair in dict.fromkeys(asked) if pair in contacts]
        known += sorted(contacts - set(known))
        known.sort(key=lambda pair: pair[1] >= n)  # stable
        pairs = [*known, *(pair for pair in dict.fromkeys(asked) if pair not in contacts)]
        self._pairs = pairs
        self._n_contacts = len(known)
        n_mutual = sum(j < n for _, j in known)
        self._first = self._constant([pair[0] for pair in pairs], torch.int64)
        self._second = self._constant([pair[1] for pair in pairs], torch.int64)
        self._pushed = self._first[: self._n_contacts]
        self._pushed_back = self._second[:n_mutual]
        radii = [*(body.radius for body in bodies), *[0.0] * scenario.n_markers]
        reach = [radii[i] + radii[j] for i, j in pairs]
        self.reach = self._constant(reach).unsqueeze(1)  # [P, 1]
        self._groups: dict[str, slice | Tensor] = {}
        for name, group in scenario.pairs.items():
            rows = [pairs.index((min(pair), max(pair))) for pair in group]
            in_a_row = rows == list(range(rows[0], rows[0] + len(rows)))
            self._groups[name] = (
                slice(rows[0], rows[0] + len(rows))
                if in_a_row
                else self._constant(rows, torch.int64)
            )

    def _build_spread(self) -> None:
        spread = [1.0] * self.scenario.n_agents
        spread += [landmark.spread for landmark in self.scenario.landmarks]
        spread += [0.0] * self.scenario.n_markers
        self._spread = self._constant(spread).unsqueeze(1)  # [E, 1]

    def symbol(self, agent: int) -> Tensor:
        """What an agent says, one-hot or strengths: [n_symbols, B]."""
        rows = self.layout.symbol_rows(agent)
        return self.table[rows.start : rows.stop]

    def signal(self, name: str) -> Tensor:
        """A signal of the scenario, to be written into: [width, B]."""
        rows = self.layout.signal_rows(name)
        return self.table[rows.start : rows.stop]

    def distance(self, name: str) -> Tensor:
        """Distances of one of the scenario's groups of pairs: [pairs, B]."""
        return self.distances[self.rows(name)]

    def rows(self, name: str) -> slice | Tensor:
        """Where such a group stands in `distances` and `reach`."""
        return self._groups[name]

    def touches(self, name: str) -> Tensor:
        """Whether the bodies of each pair of such a group overlap: [pairs, B] bool."""
        rows = self.rows(name)
        return self.distances[rows] < self.reach[rows]

    def place_marker(self, k: int, landmark: Tensor) -> None:
        """Put marker `k` on the landmark with the given number; landmark: [B] int64."""
        at = (landmark + self.scenario.n_agents).expand(2, 1, -1)
        self.position[:, self.scenario.marker(k)] = self.position.gather(1, at)[:, 0]

    def reset(self, generator: torch.Generator) -> None:
        """New positions, no symbols, and what the scenario draws."""
        self.table.zero_()
        shape = tuple(self.position.shape)
        unit = torch.rand(shape, generator=generator, device=self.device, dtype=self.dtype)
        torch.mul(unit.mul_(2).sub_(1), self._spread, out=self.position)
        self.scenario.draw(self, generator)
        self.measure()

    def observation_rows(self, i: int) -> Rows:
        """Everything that agent `i` observes."""
        return observation_rows(self.scenario, self.layout, i)

    def measure(self) -> None:
        """Distances and derived signals after positions have changed."""
        if self._pairs:
            position = self.position
            self.offset = position.index_select(1, self._first)
            self.offset.sub_(position.index_select(1, self._second))
            self.distances = torch.hypot(self.offset[0], self.offset[1])
        self.scenario.sense(self)

    def advance(self, actions: Tensor) -> None:
        """One step. actions: [N, B] int64; continuous: [N, A, B] float32."""
        effects = self.actions.effects(actions)
        if self.moves:
            impulse = effects[: self._n_impulses].view_as(self.velocity)
            if self._n_contacts:
                self._push(impulse)
            self._agents_position.add_(self.velocity, alpha=DT)
            torch.add(impulse, self.velocity, alpha=KEPT, out=self.velocity)
            if self._has_max_speed:
                speed = torch.hypot(self.velocity[0], self.velocity[1])
                self.velocity.mul_(torch.div(self._max_speed, speed).clamp_(max=1))
        if len(self.symbols):
            self.symbols.copy_(effects[self._n_impulses :])
        self.measure()

    def rewards(self) -> tuple[Tensor, Tensor | None]:
        """Of the step just taken: every agent's reward [N, B], counted events [n_events, B]."""
        return self.scenario.rewards(self)

    def state_dict(self) -> dict[str, Any]:
        """What decides later episodes besides the generator that `reset` is given: nothing."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""

    def close(self) -> None:
        """Nothing to release."""

    def within_reach(self, team: slice) -> Tensor:
        """Where each move leads an agent within two steps, contacts aside: [2, moves, n, B]."""
        velocity = self.velocity[:, team].unsqueeze(1)  # [2, 1, n, B]
        later = self._impulses[:, :, team] + velocity * KEPT  # [2, moves, n, B]
        speed = torch.hypot(later[0], later[1])
        later.mul_(torch.div(self._max_speed[team], speed).clamp_(max=1))
        return self.position[:, team].unsqueeze(1) + later.add_(velocity).mul_(DT)

    def _push(self, impulse: Tensor) -> None:
        """Add the contact forces' part. impulse: [2, N, B]."""
        n = self._n_contacts
        distance = self.distances[:n].clamp(min=TINY)  # [P', B]
        depth = torch.nn.functional.softplus(self.reach[:n] - distance, beta=1 / CONTACT_MARGIN)
        push = depth.div_(distance) * self.offset[:, :n]  # [2, P', B]
        impulse.index_add_(1, self._pushed, push, alpha=CONTACT_FORCE * DT)
        mutual = push[:, : len(self._pushed_back)]
        impulse.index_add_(1, self._pushed_back, mutual, alpha=-CONTACT_FORCE * DT)


def observation_rows(scenario: WorldRules, layout: ObservationLayout, i: int) -> Rows:
    """Everything that agent `i` of a scenario observes."""
    return [row for part in scenario.observation(i, layout) for row in part]


def out_of_bounds(position: Tensor) -> Tensor:
    """Penalty for leaving the arena, summed over both coordinates.

    For each x = |coordinate|: 0 below 0.9, then 10 (x - 0.9) until 1, from there on
    min(exp(2x - 2), 10).

    Shapes:
        position: [2, ..., B];  penalty: [..., B]
    """
    x = position.abs()
    inside = (x - 0.9).mul_(10).clamp_(min=0)
    outside = (x * 2 - 2).exp_().clamp_(max=10)
    penalty = torch.where(x < 1, inside, outside)
    return penalty[0] + penalty[1]
