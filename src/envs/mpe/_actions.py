"""The agents' actions, and their effect on the world: discrete actions, or vectors of numbers.

Discrete actions are mpe2's discrete ones: action a is a move together with a symbol. The others are
mpe2's continuous ones, all between 0 and 1: an agent that moves gives five numbers (stay, left,
right, down, up), an agent that speaks one for each symbol, after them. Its force is
accel (right - left, up - down), `stay` has no effect, and its symbols are strengths
instead of a one-hot vector. Like mpe2, numbers outside [0, 1] are clipped.

Inside a world worlds come last: actions are [N, B] int64, or [N, A, B] float32.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from components.spaces import ActionSpace, Box
from envs.mpe._entities import MOVE_NAMES, MOVES, N_MOVES, Agent

DT = 0.1  # seconds that a step lasts
STAY, LEFT, RIGHT, DOWN, UP = range(N_MOVES)
AXES = ((RIGHT, LEFT), (UP, DOWN))  # of each coordinate: the move along it, the move against it
Constant = Callable[..., Tensor]  # from numbers, and a dtype if it is not the world's, to a tensor


@dataclass(frozen=True)
class ActionDescription:
    """One agent's actions, as in `EnvInfo`."""

    space: ActionSpace
    names: tuple[str, ...]
    types: tuple[int, ...]  # equal numbers: the same action, or the same direction


def describe_actions(agent: Agent, continuous: bool) -> ActionDescription:
    """Describe an agent's actions.

    Types of discrete actions are 0 to 4 for silent moves; N_MOVES (1 + symbol) + move is said by an
    agent, at rest if it cannot move. Types of numbers are 0 to 4 for moves and N_MOVES + symbol.
    """
    if continuous:
        n_moves, symbols = _first_symbol(agent), range(agent.n_symbols)
        n = n_moves + len(symbols)
        names = (*MOVE_NAMES[:n_moves], *(f"say {symbol}" for symbol in symbols))
        types = (*range(n_moves), *(N_MOVES + symbol for symbol in symbols))
        return ActionDescription(Box((0.0,) * n, (1.0,) * n), names, types)
    own = range(agent.n_actions)
    types = tuple(own)
    if agent.n_symbols:
        types = tuple(N_MOVES * (1 + a // agent.n_moves) + a % agent.n_moves for a in own)
    return ActionDescription(agent.action_space, agent.action_names, types)


class DiscreteActions:
    """Actions [N, B] int64.

    Args:
        agents: all N agents of the scenario.
        constant: makes tensors of the world's dtype, on its device.
    """

    is_continuous = False

    def __init__(self, agents: tuple[Agent, ...], constant: Constant):
        width = max(agent.n_actions for agent in agents)
        impulse = [
            [MOVES[a % N_MOVES][axis] * agent.accel * DT for a in range(width)]
            for axis in range(2)
            for agent in agents
        ]
        spoken = [
            [float(a // agent.n_moves == symbol) for a in range(width)]
            for agent in agents
            for symbol in range(agent.n_symbols)
        ]
        moves = any(agent.accel for agent in agents)
        actors = [*range(len(agents))] * 2 if moves else []
        actors += [i for i, agent in enumerate(agents) for _ in range(agent.n_symbols)]
        self._effects = constant((impulse if moves else []) + spoken)
        self._actors = constant(actors, torch.int64)
        self._counts = constant([agent.n_actions for agent in agents]).unsqueeze(1)  # [N, 1]

    def effects(self, actions: Tensor) -> Tensor:
        """Impulses, x of all agents and then y, if any agent moves; then symbols: [rows, B]."""
        return self._effects.gather(1, actions.index_select(0, self._actors))

    def storage(self, batch_size: int) -> Tensor:
        """Room for the actions of all agents: [N, B]."""
        return torch.zeros_like(self._counts, dtype=torch.int64).repeat(1, batch_size)

    def from_env(self, actions: Tensor) -> Tensor:
        """From the order of `BatchedEnv`, [B, n], to that of the world, [n, B]."""
        return actions.t()

    def to_env(self, actions: Tensor, width: int) -> Tensor:
        """From the order of the world, [n, B], to that of `BatchedEnv`, [B, n]."""
        return actions.t()

    def from_discrete(self, actions: Tensor, team: slice) -> Tensor:
        """A team's discrete actions [n, B] as they are."""
        return actions

    def sample(self, team: slice, batch_size: int, generator: torch.Generator) -> Tensor:
        """Every agent of a team draws uniformly from its own actions: [n, B]."""
        counts = self._counts[team]  # [n, 1]
        size = (len(counts), batch_size)
        uniform = torch.rand(size, generator=generator, device=counts.device)
        return (uniform * counts).long()


class ContinuousActions:
    """Actions [N, A, B] float32; an agent's own numbers come first, the others have no effect.

    Args:
        agents: all N agents of the scenario.
        constant: makes tensors of the world's dtype, on its device.
    """

    is_continuous = True

    def __init__(self, agents: tuple[Agent, ...], constant: Constant):
        sizes = [describe_actions(agent, continuous=True).space.size for agent in agents]
        self._width = width = max(sizes)  # A, of all agents
        moving = any(agent.accel for agent in agents)
        along, against, scale = [], [], []
        for plus, minus in AXES if moving else ():
            for i, agent in enumerate(agents):
                along.append(i * width + (plus if agent.accel else 0))
                against.append(i * width + (minus if agent.accel else 0))
                scale.append(agent.accel * DT)
        spoken = [
            i * width + _first_symbol(agent) + symbol
            for i, agent in enumerate(agents)
            for symbol in range(agent.n_symbols)
        ]
        scale += [1.0] * len(spoken)
        self._along, self._against = constant(along, torch.int64), constant(against, torch.int64)
        self._spoken = constant(spoken, torch.int64)
        self._scale = constant(scale).unsqueeze(1)  # [rows, 1]
        own = [[float(k < size) for k in range(width)] for size in sizes]
        self._own = constant(own, torch.float32).unsqueeze(2)  # [N, A, 1]
        most = max(agent.n_actions for agent in agents)
        coded = [[_coded(agent, a, width) for a in range(most)] for agent in agents]
        self._coded = constant(coded, torch.float32).transpose(1, 2)  # [N, A, numbered]

    def effects(self, actions: Tensor) -> Tensor:
        """Impulses, x of all agents and then y, if any agent moves; then symbols: [rows, B]."""
        numbers = actions.clamp(0, 1).flatten(0, 1)  # [N * A, B]
        pushed = numbers.index_select(0, self._along) - numbers.index_select(0, self._against)
        said = numbers.index_select(0, self._spoken)
        return torch.cat((pushed, said)) * self._scale  # [rows, B] of the world's dtype

    def storage(self, batch_size: int) -> Tensor:
        """Room for the actions of all agents: [N, A, B]."""
        return torch.zeros_like(self._own).repeat(1, 1, batch_size)

    def from_env(self, actions: Tensor) -> Tensor:
        """From [B, n, a] to [n, A, B], with zeros behind the a numbers."""
        return functional.pad(actions, (0, self._width - actions.shape[2])).permute(1, 2, 0)

    def to_env(self, actions: Tensor, width: int) -> Tensor:
        """From [n, A, B] to the first `width` numbers of each: [B, n, width]."""
        return actions[:, :width].permute(2, 0, 1)

    def from_discrete(self, actions: Tensor, team: slice) -> Tensor:
        """The numbers that do what a team's discrete actions do, [n, B] int64: [n, A, B]."""
        return self._coded[team].gather(2, actions.unsqueeze(1).expand(-1, self._width, -1))

    def sample(self, team: slice, batch_size: int, generator: torch.Generator) -> Tensor:
        """Every agent of a team draws each of its own numbers from U[0, 1]: [n, A, B]."""
        own = self._own[team]
        size = (*own.shape[:2], batch_size)
        return torch.rand(size, generator=generator, device=own.device) * own


def _first_symbol(agent: Agent) -> int:
    """Index of an agent's first number for a symbol."""
    return N_MOVES if agent.accel else 0


def _coded(agent: Agent, action: int, width: int) -> list[float]:
    """The numbers of an agent that do what its discrete action does; others do nothing."""
    move, symbol = action % agent.n_moves, action // agent.n_moves
    ones = [move] if agent.accel else []
    ones += [_first_symbol(agent) + symbol] if symbol < agent.n_symbols else []
    return [float(k in ones) for k in range(width)]
