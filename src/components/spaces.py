"""Action spaces: one of n actions, a choice of each factor, or bounded numbers.

An action of `Discrete` and `Factored` is one integer; an action of `Box` is a vector of floats.
"""

import math
from dataclasses import dataclass
from itertools import product


@dataclass(frozen=True)
class Factor:
    """One of the choices that make an action."""

    name: str  # factors of the same name have the same choices
    n: int  # number of choices
    labels: tuple[str, ...] = ()  # n names of the choices, for figures; (): name and number


@dataclass(frozen=True)
class Discrete:
    """Actions 0 to n - 1."""

    n: int
    name: str = "action"  # of what is chosen, see `Factor`

    @property
    def size(self) -> int:
        """Number of actions."""
        return self.n

    @property
    def factors(self) -> tuple[Factor, ...]:
        """The action itself, as the only factor."""
        return (Factor(self.name, self.n),)


@dataclass(frozen=True)
class Factored:
    """Several choices at once, such as a symbol and a move; every combination is one action.

    Actions are numbered as by `itertools.product`: the choice of the last factor changes fastest.
    """

    factors: tuple[Factor, ...]  # two or more

    @property
    def size(self) -> int:
        """Number of actions: of all combinations."""
        return math.prod(factor.n for factor in self.factors)


@dataclass(frozen=True)
class Box:
    """A vector of numbers, each within its own bounds."""

    low: tuple[float, ...]
    high: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.low) != len(self.high):
            raise ValueError(f"{len(self.low)} lower bounds, but {len(self.high)} upper bounds.")
        for i, (low, high) in enumerate(zip(self.low, self.high, strict=True)):
            if not (math.isfinite(low) and math.isfinite(high) and low < high):
                raise ValueError(
                    f"number {i} of an action lies in [{low}, {high}]. Bounds must be finite, and "
                    f"the lower one below the upper one."
                )

    @property
    def size(self) -> int:
        """Numbers in an action."""
        return len(self.low)


ActionSpace = Discrete | Factored | Box


def combinations(space: Discrete | Factored) -> list[tuple[int, ...]]:
    """The choice of each factor, for action 0, 1, ..., size - 1."""
    return list(product(*(range(factor.n) for factor in space.factors)))
