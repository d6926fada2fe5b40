"""Gymnasium's spaces as the framework's: action spaces, and observations as flat vectors.

Observations are flattened in the order of their space: numbers as they are, `Discrete` and
`MultiDiscrete` as one-hot vectors, `Dict` and `Tuple` part by part. A `Dict`'s `action_mask` is no
part of what an agent sees. Images (`is_image`) stay bytes; everything else becomes float32.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces

from components.spaces import ActionSpace, Box, Discrete, Factor, Factored
from utils.errors import LARGEST_LAYER, UserError

MASKS = ("action_mask", "action_masks", "avail_actions")  # keys in an info or in an observation
ROUNDING = 1e-5  # share of a bound's range by which an action may miss it
LARGEST_INTEGER = 2**24  # float32 holds every whole number up to this one, not beyond
Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Encoder:
    """How one agent's observations become numbers.

    Attributes:
        size: how many numbers.
        write: writes an observation into an array [size].
        low, high: the smallest and largest numbers that the space allows, [size].
        is_image: the numbers are bytes of an image.
    """

    size: int
    write: Callable[[Any, Array], None]
    low: Array
    high: Array
    is_image: bool = False


def is_image(space: Any) -> bool:
    """Whether a space holds images: three axes of bytes from 0 to 255."""
    return (
        isinstance(space, spaces.Box)
        and space.dtype == np.uint8
        and len(space.shape) == 3
        and bool((space.low == 0).all() and (space.high == 255).all())
    )


def encoder(space: Any, owner: str) -> Encoder:
    """The encoder of an observation space.

    Args:
        space: a Gymnasium space.
        owner: whose observations they are, for messages.

    Raises:
        UserError: if the space has no fixed number of entries.
    """
    if isinstance(space, spaces.Box):
        low, high = (np.ravel(x).astype(np.float32) for x in (space.low, space.high))
        return Encoder(low.size, write_numbers, low, high, is_image(space))
    if isinstance(space, spaces.MultiBinary):
        return _unbounded(int(np.prod(space.shape)), write_numbers)
    if isinstance(space, spaces.Discrete):
        return _one_hot(int(space.n), int(space.start), owner)
    if isinstance(space, spaces.MultiDiscrete):
        counts, starts = np.ravel(space.nvec).tolist(), np.ravel(space.start).tolist()
        parts = [_one_hot(n, start, owner) for n, start in zip(counts, starts, strict=True)]
        inner = _concatenation(parts, range(len(parts)))
        return _unbounded(inner.size, lambda x, out: inner.write(_vector(x, len(parts)), out))
    if isinstance(space, spaces.Dict):
        keys = [key for key in space.spaces if key not in MASKS]
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
        TypeError: if it is something else: NumPy would convert texts and None to numbers.
    """
    array = np.asarray(x)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{what} is no array of numbers, but of type {array.dtype}: {x!r:.200}")
    return array


def write_numbers(x: Any, out: Array, what: str = "an observation") -> None:
    """Write `x` into an array of as many entries.

    Raises:
        UserError: if a whole number is too large for float32 to hold it.
    """
    array = numbers(x, what)
    if array.size != out.size:  # a single number would spread over the whole row
        raise ValueError(
            f"{what} of shape {array.shape} has {array.size} entries; its space has {out.size}"
        )
    out[:] = array.reshape(-1)
    if array.dtype.kind in "iu" and array.size and array.dtype.itemsize > 2:
        largest = max(int(array.max()), -int(array.min()))
        if largest > LARGEST_INTEGER:
            raise UserError(
                f"{what} holds the whole number {largest:,}. Networks compute in float32, which "
                f"cannot tell whole numbers above {LARGEST_INTEGER:,} from their neighbours. "
                f"Divide it by its largest value, or leave it out of what agents see."
            )


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


def _unbounded(size: int, write: Callable[[Any, Array], None]) -> Encoder:
    limit = np.full(size, np.inf, dtype=np.float32)
    return Encoder(size, write, -limit, limit)


def _one_hot(n: int, start: int, owner: str) -> Encoder:
    if n > LARGEST_LAYER:
        raise UserError(
            f"The observations of {owner} hold one of {n:,} values, and would become as many "
            f"inputs; {LARGEST_LAYER:,} are the most. Show it as a number (Box) instead."
        )

    def write(x: Any, out: Array) -> None:
        place = int(x) - start
        if not 0 <= place < n or place + start != x:
            raise ValueError(f"an observation is {x}; its space has {n} values from {start} on")
        out[:] = 0
        out[place] = 1

    return _unbounded(n, write)


def _concatenation(parts: list[Encoder], keys: Any) -> Encoder:
    """The parts `x[key]` of an observation, one behind the other."""
    ends = np.cumsum([part.size for part in parts]).tolist()
    slices = [slice(end - part.size, end) for part, end in zip(parts, ends, strict=True)]
    plan = [(key, part.write, s) for key, part, s in zip(keys, parts, slices, strict=True)]

    def write(x: Any, out: Array) -> None:
        for key, write_part, place in plan:
            write_part(x[key], out[place])

    return Encoder(
        size=ends[-1] if ends else 0,
        write=write,
        low=np.concatenate([np.zeros(0, np.float32), *(part.low for part in parts)]),
        high=np.concatenate([np.zeros(0, np.float32), *(part.high for part in parts)]),
        is_image=bool(parts) and all(part.is_image for part in parts),
    )


@dataclass(frozen=True)
class Actions:
    """How one agent's actions become what its environment takes.

    Attributes:
        space: what there is to choose.
        decode: from an action, a number or a list of A numbers, to the environment's own.
    """

    space: ActionSpace
    decode: Callable[[Any], Any]


def actions(space: Any, owner: str) -> Actions:
    """The actions of an action space; those of a `MultiDiscrete` are all its combinations.

    Raises:
        UserError: if the space is of another kind, has too many actions, or has no bounds.
    """
    if isinstance(space, spaces.Discrete):
        _refuse_many(int(space.n), space, owner)
        start = int(space.start)
        return Actions(Discrete(int(space.n)), lambda a: a + start)
    if isinstance(space, spaces.MultiDiscrete):
        return _combinations(space, owner)
    if isinstance(space, spaces.Box):
        return _vectors(space, owner)
    raise UserError(
        f"The actions of {owner} are {space}; only Discrete, MultiDiscrete and Box actions can be "
        f"learnt. Many environments take an argument for that: see its documentation, and write it "
        f"into env_args.kwargs."
    )


def _refuse_many(count: int, space: Any, owner: str) -> None:
    if count > LARGEST_LAYER:
        raise UserError(
            f"The actions of {owner} are {space}, {count:,} in all; {LARGEST_LAYER:,} are the "
            f"most. Wrap the environment so that an agent chooses among fewer actions."
        )


def _combinations(space: spaces.MultiDiscrete, owner: str) -> Actions:
    """All combinations; the last choice changes fastest, as in `Factored`."""
    sizes, starts = np.ravel(space.nvec).tolist(), np.ravel(space.start).tolist()
    _refuse_many(math.prod(sizes), space, owner)
    grid = np.stack(np.unravel_index(np.arange(math.prod(sizes)), sizes), axis=1)
    table = list((grid + starts).reshape(-1, *space.shape).astype(space.dtype))
    if len(sizes) == 1:
        return Actions(Discrete(sizes[0]), lambda a: table[a])
    factors = tuple(
        Factor(f"factor {k} of {n} choices", n, tuple(f"{k}: {start + c}" for c in range(n)))
        for k, (n, start) in enumerate(zip(sizes, starts, strict=True))
    )
    return Actions(Factored(factors), lambda a: table[a])


def _vectors(space: spaces.Box, owner: str) -> Actions:
    """Numbers within finite bounds, in the space's order (the last axis fastest), dtype and shape.

    An action that misses its bounds by rounding, which float32 numbers can, is clipped to them.
    """
    with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, and refused
        low, high = (np.ravel(x).astype(np.float32).tolist() for x in (space.low, space.high))
    if space.dtype.kind != "f":
        raise UserError(
            f"The actions of {owner} are {space}, whole numbers in a Box. Wrap the environment so "
            f"that they are MultiDiscrete, one choice for each entry."
        )
    if not low:
        raise UserError(f"The actions of {owner} are {space}, which has no entries.")
    try:
        box = Box(tuple(low), tuple(high))
    except ValueError as error:
        raise UserError(
            f"The actions of {owner} are {space}: {error} Wrap the environment so that its action "
            f"space has such bounds, or write an argument that sets them into env_args.kwargs."
        ) from None
    _refuse_many(box.size, space, owner)
    width = np.subtract(high, low)

    def decode(action: Any) -> Array:
        vector = np.array(action[: box.size])
        if not (np.abs(vector - np.clip(vector, low, high)) <= ROUNDING * width).all():
            raise ValueError(
                f"an action of {owner} is {vector.tolist()}, outside its bounds {low} to {high}"
            )
        inside = vector.reshape(space.shape).astype(space.dtype)
        return np.clip(inside, space.low, space.high)

    return Actions(box, decode)
