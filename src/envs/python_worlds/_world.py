"""One copy of a Python environment, whatever library it comes from, writing into its rows."""

import inspect
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from envs.python_worlds._arrays import Array, Rows
from envs.python_worlds._spaces import MASKS, Actions, Encoder, actions, encoder, numbers
from utils.errors import UserError

Ended = Literal["", "terminated", "truncated"]
NO_DISPLAY = (
    "Its renderer may need a display, and there is none here. Install a virtual one (Debian and "
    "Ubuntu: `apt-get install xvfb`), then put `xvfb-run -a` before the command."
)


@dataclass(frozen=True)
class WorldInfo:
    """What an environment says of itself."""

    agent_names: tuple[str, ...]
    obs_dims: tuple[int, ...]
    action_counts: tuple[int, ...]
    state_dim: int  # 0: made of the observations
    step_limit: int  # longest episode; 0: not known
    bounds: tuple[tuple[Array, Array], ...]  # each agent's smallest and largest observation
    is_image: bool  # every agent observes images, stored as bytes


class World(Protocol):
    """What an adapter writes for its library."""

    def describe(self) -> WorldInfo:
        """Sizes; may play a reset to find them."""
        ...

    def reset(self, seed: int, rows: Rows) -> None:
        """Start an episode and show it."""
        ...

    def step(self, actions: Sequence[int], rows: Rows) -> tuple[bool, bool]:
        """Play one step and show it, reward included; returns (terminated, truncated)."""
        ...

    def result(self, name: str) -> float:
        """The metric `name` of the episode that has just ended."""
        ...

    def picture(self) -> Any:
        """The environment's own picture, see `picture_of`."""
        ...

    def close(self) -> None:
        """Release what the environment holds."""
        ...


class Seats:
    """The agents of a world: what each may see and do, and how that is shown in rows.

    Args:
        names: of the agents.
        observation_spaces: one for each.
        action_spaces: one for each.
        action_masks: false if it was promised that no mask excludes an action.
    """

    def __init__(
        self,
        names: Sequence[str],
        observation_spaces: Sequence[Any],
        action_spaces: Sequence[Any],
        action_masks: bool,
    ):
        self.names, self.action_masks = tuple(names), action_masks
        owners = [f"agent '{name}'" for name in self.names]
        self.encoders: list[Encoder] = list(map(encoder, observation_spaces, owners))
        self.actions: list[Actions] = list(map(actions, action_spaces, owners))
        if not self.names or len(set(self.names)) < len(self.names):
            raise UserError(
                f"The agents are {', '.join(self.names) or 'none'}; there must be at least one, "
                f"each with a name that no other has."
            )
        for owner, seen in zip(owners, self.encoders, strict=True):
            if seen.size == 0:
                raise UserError(
                    f"{owner} observes nothing: its observation space has no entries. Wrap the "
                    f"environment so that it sees at least one constant number."
                )

    def info(self, state_dim: int, step_limit: int) -> WorldInfo:
        """What is known of the world."""
        return WorldInfo(
            agent_names=self.names,
            obs_dims=tuple(seen.size for seen in self.encoders),
            action_counts=tuple(acts.count for acts in self.actions),
            state_dim=state_dim,
            step_limit=step_limit,
            bounds=tuple((seen.low, seen.high) for seen in self.encoders),
            is_image=all(seen.is_image for seen in self.encoders),
        )

    def show(self, rows: Rows, seen: Sequence[tuple[Any, Any] | None], ended: Ended = "") -> None:
        """Write what the agents see and may do.

        Args:
            rows: of this copy.
            seen: (observation, action mask or None) of each agent that takes part, None for others.
            ended: how the episode has ended, if it has.
        """
        for i, what in enumerate(seen):
            if what is None:
                rows.obs[i] = 0
                rows.avail[i] = False
                rows.avail[i, 0] = True  # something harmless to choose
                rows.is_active[i] = False
                continue
            observation, mask = what
            rows.is_active[i] = True
            size, count = self.encoders[i].size, self.actions[i].count
            self.encoders[i].write(observation, rows.obs[i, :size])
            rows.avail[i, :count] = True if mask is None else self._checked(mask, i, ended)

    def _checked(self, mask: Any, i: int, ended: Ended) -> Any:
        name = f"the {MASKS[0]} of '{self.names[i]}'"
        given, count = numbers(mask, name), self.actions[i].count
        if given.ndim == 1 and not given[count:].any():
            given = given[:count]  # padded to the longest mask of all agents
        flags = given.astype(bool)
        if ended == "terminated" and not flags.any():
            return True  # no action follows
        wrong = ""
        if flags.shape != (count,):
            wrong = f"has shape {flags.shape}"
        elif (given != flags).any():
            wrong = f"is {given.tolist()}"
        elif not flags.any():
            wrong = "allows no action"
        if not wrong.startswith("has") and ended == "truncated" and not flags.any():
            raise UserError(
                f"{name} allows no action where the episode is truncated. What could follow still "
                f"counts there (docs/terminated_and_truncated.md), so the agent needs an action: "
                f"give the mask of any other step. If nothing can follow, return terminated."
            )
        if wrong:
            raise ValueError(f"{name} {wrong}; it must be {count} flags, at least one of them true")
        if not self.action_masks and not flags.all():
            raise UserError(
                f"{name} excludes an action, although "
                f"env_args.action_masks is false. Write env_args.action_masks=true."
            )
        return flags


def mask_in(*places: Any) -> Any:
    """The action mask in the first place that has one, such as an observation or an info."""
    for place in places:
        if isinstance(place, Mapping):
            for name in MASKS:
                if place.get(name) is not None:
                    return place[name]
    return None


def require_seed(env: Any, setting: str) -> None:
    """Check that an environment's `reset` takes a seed.

    Raises:
        UserError: if it does not: no episode could be played twice.
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


def flat_state(env: Any, functions: Sequence[str]) -> Any:
    """The environment's own state as a vector.

    Raises:
        UserError: if the environment has none.
    """
    for name in functions:
        function = getattr(env, name, None)
        if callable(function):
            try:
                return numbers(function(), "the state").reshape(-1)
            except NotImplementedError:
                continue
    raise UserError(
        f"env_args.state=env asks for the environment's own state, but it has no method "
        f"{' or '.join(functions)}, or an empty one. Write env_args.state=concat: all observations "
        f"in a row."
    )


def number(infos: Iterable[Any], name: str) -> float:
    """The metric `name` among an episode's last infos: the mean over those that have it."""
    found: dict[Any, list[Any]] = {}
    for info in infos:
        if isinstance(info, Mapping):
            for key, value in info.items():
                found.setdefault(key, []).append(value)
    if name not in found:
        there = ", ".join(map(str, found)) or "nothing"
        raise UserError(
            f"env_args.metrics names '{name}', but the info at the end of an episode has {there}. "
            f"Correct the name."
        )
    return sum(map(float, found[name])) / len(found[name])


def picture_of(env: Any) -> Any:
    """What an environment draws of itself, [height, width, 3] uint8.

    Level-based foraging, RWARE and VMAS take the mode as an argument of the unwrapped `render`.

    Raises:
        UserError: if that is no picture.
    """
    inner = getattr(env, "unwrapped", env)
    picture: Any = None
    try:
        if "mode" in inspect.signature(inner.render).parameters:
            picture = inner.render(mode="rgb_array")
        elif getattr(env, "render_mode", None) == "rgb_array":
            picture = env.render()
    except NotImplementedError:
        pass
    except (Exception, SystemExit) as error:  # each graphics library has errors of its own
        has_display = sys.platform != "linux" or os.environ.get("DISPLAY")
        raise UserError(
            f"the environment could not draw itself ({type(error).__name__}: {error}). "
            f"{'' if has_display else NO_DISPLAY}".strip()
        ) from error
    if np.ndim(picture) != 3:
        raise UserError(
            "the environment draws no pictures. Add env_args.kwargs.render_mode=rgb_array; if that "
            "changes nothing, it cannot be filmed."
        )
    return np.asarray(picture, dtype=np.uint8)
