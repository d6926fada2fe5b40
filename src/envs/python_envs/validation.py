"""What an environment of another library must take and return, of either style."""

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from envs.python_envs.spaces import numbers
from utils.errors import UserError

UNEXPECTED = re.compile(r"\S+ got an unexpected keyword argument '(?P<name>\w+)'")


def require_seed(env: Any, setting: str) -> None:
    """Check that an environment's `reset` takes a seed.

    Raises:
        UserError: if it does not: no episode could be repeated.
    """
    inner = getattr(env, "unwrapped", env)
    kinds = inspect.signature(inner.reset).parameters
    if "seed" not in kinds and all(p.kind is not p.VAR_KEYWORD for p in kinds.values()):
        raise UserError(
            f"{setting}: its reset takes no seed, so that no episode could be repeated. Write "
            f"`def reset(self, *, seed=None, options=None)`, and draw every random number from "
            f"`gymnasium.utils.seeding.np_random(seed)`."
        )


def require_arguments(function: Callable[..., Any], given: Mapping[str, Any], what: str) -> None:
    """Check that a constructor takes the arguments that it will be given.

    Raises:
        UserError: if it does not take one of them.
    """
    try:
        kinds = inspect.signature(function).parameters
    except (TypeError, ValueError):  # such as a class written in C
        return
    unknown = [name for name in given if name not in kinds]
    if unknown and all(p.kind is not p.VAR_KEYWORD for p in kinds.values()):
        raise UserError(
            f"env_args.kwargs has '{unknown[0]}', which {what} does not take. It takes: "
            f"{', '.join(kinds) or 'nothing'}. Take it out with env_args.kwargs.{unknown[0]}=null."
        )


@contextmanager
def named_arguments(given: Mapping[str, Any], what: str) -> Iterator[None]:
    """Context manager around a constructor that may hand its arguments on to a function.

    Args:
        given: keyword arguments.
        what: the environment, for messages.

    Raises:
        UserError: instead of a TypeError about an argument that the last function does not take.
    """
    try:
        yield
    except TypeError as error:
        found = UNEXPECTED.search(str(error))
        if found is None or found["name"] not in given:
            raise
        name = found["name"]
        raise UserError(
            f"env_args.kwargs has '{name}', which {what} does not take ({found[0]}). Take it out "
            f"with env_args.kwargs.{name}=null."
        ) from error


def observations_and_infos(shown: Any, n_values: int, names: str) -> tuple[Any, ...]:
    """What `reset` or `step` returned, as a tuple whose last entry is the infos.

    Args:
        shown: what was returned.
        n_values: how many values it must be.
        names: what they are, for messages.

    Raises:
        UserError: if it is something else.
    """
    function = "reset" if n_values == 2 else "step"
    if not isinstance(shown, tuple) or len(shown) != n_values:
        size = f"{len(shown)} values" if isinstance(shown, tuple) else f"a {type(shown).__name__}"
        raise UserError(
            f"{function} returned {size}; it must return a tuple of {n_values}: {names}. An "
            f"environment of an older interface needs a wrapper that returns them."
        )
    infos = shown[-1]
    each = infos if isinstance(infos, list | tuple) else [infos]
    if not all(isinstance(info, Mapping) for info in each):
        raise UserError(
            f"{function} returned {infos!r:.100} as infos, the last of {names}. Return a dict "
            f"there, empty if there is nothing to say."
        )
    return shown


def single_number(x: Any, what: str) -> float:
    """`x` as one number; an array of one entry is one.

    Raises:
        UserError: if it has another number of entries.
        TypeError: if it is no number.
    """
    array = numbers(x, what)
    if array.size != 1:
        raise UserError(
            f"{what} has shape {array.shape}; it must be one number. Add up its parts, or choose "
            f"one, in a wrapper of the environment."
        )
    return float(array.reshape(-1)[0])
