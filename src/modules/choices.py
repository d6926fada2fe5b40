"""The choices that make the agents' actions: factor by factor, in one list for each agent.

An agent that says one of 10 symbols and makes one of 5 moves has 50 actions and 15 choices. Values
of actions that are sums over factors then need 15 numbers instead of 50:

    out(a) = sum_f q_f(c_f)  +  sum_(f<g) u_f(c_f) . u_g(c_g)

with c_f the choice of factor f that action a makes, and vectors u of `rank` numbers. The second
term makes pairs of choices interact (factorisation machines, Rendle, ICDM 2010).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from typing_extensions import override

from components.spaces import ActionSpace, Box, Factored, combinations
from modules.agents.base import AgentSizes
from utils.errors import UserError


@dataclass(frozen=True)
class Choices:
    """Which choices each agent has, and which actions make them."""

    names: tuple[tuple[str, ...], ...]  # N rows, as long as the agent has choices
    types: tuple[tuple[int, ...], ...]  # like names; equal numbers mean the same choice
    made: Tensor  # [N, C, A] float32, 1 where action a of agent i makes choice c

    @classmethod
    def of(cls, spaces: tuple[ActionSpace, ...], setting: str) -> "Choices":
        """The choices of all agents.

        Args:
            spaces: of the N agents.
            setting: that asks for choices, for the message.

        Raises:
            UserError: if no agent's actions have factors.
        """
        if not any(isinstance(space, Factored) for space in spaces):
            raise UserError(
                f"{setting} needs actions that are made of several choices, such as a move and a "
                f"symbol, and no agent here has such actions. Leave it out."
            )
        known: dict[tuple[str, int], int] = {}
        names, types, rows = [], [], []
        for space in spaces:
            assert not isinstance(space, Box)  # all agents' actions are continuous or none's
            own = [(factor, c) for factor in space.factors for c in range(factor.n)]
            names.append(tuple(f.labels[c] if f.labels else f"{f.name} {c}" for f, c in own))
            keys = [(factor.name, c) for factor, c in own]
            types.append(tuple(known.setdefault(key, len(known)) for key in keys))
            places = {key: i for i, key in enumerate(keys)}
            factors = [factor.name for factor in space.factors]
            rows.append(
                [
                    [places[key] for key in zip(factors, action, strict=True)]
                    for action in combinations(space)
                ]
            )
        n_choices, n_actions = max(map(len, names)), max(space.size for space in spaces)
        made = torch.zeros(len(spaces), n_choices, n_actions)
        for agent, actions in enumerate(rows):
            for action, choices in enumerate(actions):
                made[agent, choices, action] = 1.0
        return cls(tuple(names), tuple(types), made)


class SumOfChoices(nn.Module):
    """Numbers for every action, from numbers for the choices that make it.

    Args:
        choices: of the agents.

    Shapes:
        x: [..., N, C, 1 + rank], q and then u;  out: [..., N, A], 0 for places without an action
    """

    def __init__(self, choices: Choices):
        super().__init__()
        self.register_buffer("made", choices.made, persistent=False)
        self.made: Tensor

    @override
    def forward(self, x: Tensor) -> Tensor:
        total = torch.einsum("...ncr,nca->...nar", x, self.made)
        if x.shape[-1] == 1:
            return total.squeeze(-1)
        own = torch.einsum("...nc,nca->...na", x[..., 1:].square().sum(dim=-1), self.made)
        pairs = (total[..., 1:].square().sum(dim=-1) - own) / 2
        return total[..., 0] + pairs


Head = Literal["vector", "additive"]


class FactoredHead(nn.Module):
    """The last layer of an agent network: numbers for choices, summed to numbers for actions.

    Args:
        linear: makes a layer, of features in and out.
        width: features in.
        choices: of the agents.
        rank: numbers in the vectors of the pairwise term, 0: no such term.

    Shapes:
        z: [..., N, H];  out: [..., N, A]
    """

    def __init__(
        self, linear: Callable[[int, int], nn.Module], width: int, choices: Choices, rank: int
    ):
        super().__init__()
        self.shape = (choices.made.shape[1], 1 + rank)
        self.last = linear(width, self.shape[0] * self.shape[1])
        self.sum = SumOfChoices(choices)

    @override
    def forward(self, z: Tensor) -> Tensor:
        numbers: Tensor = self.sum(self.last(z).unflatten(-1, self.shape))
        return numbers


def last_layer(
    linear: Callable[[int, int], nn.Module],
    width: int,
    sizes: AgentSizes,
    head: Head,
    pair_rank: int,
) -> nn.Module:
    """The last layer of an agent network, [..., N, H] -> [..., N, A].

    Args:
        linear: makes a layer, of features in and out.
        width: H, features in.
        sizes: of the task.
        head: `vector`: numbers for each action; `additive`: a `FactoredHead`.
        pair_rank: of the `FactoredHead`.

    Raises:
        UserError: if a sum over choices is asked for, and actions are single choices.
    """
    if head == "vector":
        return linear(width, sizes.n_outputs)
    return FactoredHead(linear, width, Choices.of(sizes.spaces, "head=additive"), pair_rank)


def last_width(sizes: AgentSizes, head: Head, pair_rank: int) -> int:
    """Numbers per agent that the last layer's matrix gives; arguments as `last_layer`."""
    if head == "vector":
        return sizes.n_outputs
    return Choices.of(sizes.spaces, "head=additive").made.shape[1] * (1 + pair_rank)
