"""What Gymnasium's spaces are to a learner: a number of actions, and a flat vector to look at.

Observations are flattened in the order of their space: numbers as they are, `Discrete` and
`MultiDiscrete` as one-hot vectors, `Dict` and `Tuple` part by part. A `Dict`'s `action_mask` is no
part of what an agent sees.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces

from utils.errors import UserError

MASK = "action_mask"  # key in an info or in an observation
Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Encoder:
    """How one agent's observations become numbers.

    Attributes:
        size: how many numbers.
        write: writes an observation into a float array [size].
    """

    size: int
    write: Callable[[Any, Array], None]


def encoder(space: Any, owner: str) -> Encoder:
    """The encoder of an observation space.

    Args:
        space: a Gymnasium space.
        owner: whose observations they are, for messages.

    Raises:
        UserError: if the space has no fixed number of entries.
    """
    if isinstance(space, spaces.Box | spaces.MultiBinary):
        return Encoder(int(np.prod(space.shape)), write_numbers)
    if isinstance(space, spaces.Discrete):
        return _one_hot(int(space.n), int(space.start))
    if isinstance(space, spaces.MultiDiscrete):
        parts = [_one_hot(int(n), 0) for n in np.ravel(space.nvec)]
        inner = _concatenation(parts, range(len(parts)))
        return Encoder(inner.size, lambda x, out: inner.write(_vector(x, len(parts)), out))
    if isinstance(space, spaces.Dict):
        keys = [key for key in space.spaces if key != MASK]
        return _concatenation([encoder(space.spaces[key], owner) for key in keys], keys)
    if isinstance(space, spaces.Tuple):
        parts = [encoder(part, owner) for part in space.spaces]
        return _concatenation(parts, range(len(parts)))
    raise UserError(
        f"The observations of {owner} are {space}, which has no fixed number of entries. Wrap the "
        f"environment so that they are Box, Discrete, MultiDiscrete, MultiBinary, or a Dict or "
        f"Tuple of these."
    )


def numbers(x: Any, what: str) -> Array:
    """`x` as an array of numbers.

    Raises:
        TypeError: if it is something else: NumPy would make numbers of words and of None.
    """
    array = np.asarray(x)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{what} is no array of numbers, but of type {array.dtype}: {x!r:.200}")
    return array


def write_numbers(x: Any, out: Array, what: str = "an observation") -> None:
    """Write `x` into a float array of as many entries."""
    array = numbers(x, what)
    if array.size != out.size:  # a single number would spread over the whole row
        raise ValueError(
            f"{what} of shape {array.shape} has {array.size} entries; its space has {out.size}"
        )
    out[:] = array.reshape(-1)


def flag(x: Any, what: str) -> bool:
    """`x` as a bool.

    Raises:
        TypeError: if it is neither true nor false: nearly everything would pass for true.
    """
    if x not in (True, False):
        raise TypeError(f"{what} is {x!r:.200}, neither true nor false")
    return bool(x)


def _vector(x: Any, n: int) -> Array:
    vector = np.ravel(x)
    if vector.size != n:
        raise ValueError(f"an observation has {vector.size} entries; its space has {n}")
    return vector


def _one_hot(n: int, start: int) -> Encoder:
    def write(x: Any, out: Array) -> None:
        place = int(x) - start
        if not 0 <= place < n or place + start != x:
            raise ValueError(f"an observation is {x}; its space has {n} values from {start} on")
        out[:] = 0
        out[place] = 1

    return Encoder(n, write)


def _concatenation(parts: list[Encoder], keys: Any) -> Encoder:
    """The parts `x[key]` of an observation, one behind the other."""
    ends = np.cumsum([part.size for part in parts]).tolist()
    slices = [slice(end - part.size, end) for part, end in zip(parts, ends, strict=True)]
    plan = [(key, part.write, s) for key, part, s in zip(keys, parts, slices, strict=True)]

    def write(x: Any, out: Array) -> None:
        for key, write_part, place in plan:
            write_part(x[key], out[place])

    return Encoder(ends[-1] if ends else 0, write)


@dataclass(frozen=True)
class Actions:
    """How one agent's action numbers become what its environment takes.

    Attributes:
        count: how many actions there are; they are numbered from 0.
        decode: from a number to the environment's own action.
    """

    count: int
    decode: Callable[[int], Any]


def actions(space: Any, owner: str) -> Actions:
    """The actions of an action space; those of a `MultiDiscrete` are all its combinations.

    Raises:
        UserError: if the space is not discrete.
    """
    if isinstance(space, spaces.Discrete):
        start = int(space.start)
        return Actions(int(space.n), lambda a: a + start)
    if isinstance(space, spaces.MultiDiscrete):
        sizes = [int(n) for n in np.ravel(space.nvec)]
        grid = np.stack(np.unravel_index(np.arange(int(np.prod(sizes))), sizes), axis=1)
        table = list((grid + np.ravel(space.start)).astype(space.dtype))
        return Actions(len(table), lambda a: table[a])
    raise UserError(
        f"The actions of {owner} are {space}; only Discrete and MultiDiscrete actions can be "
        f"learnt. Many environments take an argument for that: see its documentation, and write it "
        f"into env_args.kwargs."
    )
