"""One copy of a Python environment, whatever library it comes from, writing into its rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from envs.python_worlds._arrays import Rows
from envs.python_worlds._spaces import MASK, Actions, Encoder, actions, encoder, numbers
from utils.errors import UserError


@dataclass(frozen=True)
class WorldInfo:
    """What an environment says of itself."""

    agent_names: tuple[str, ...]
    obs_dims: tuple[int, ...]
    action_counts: tuple[int, ...]
    state_dim: int  # 0: made of the observations
    step_limit: int  # longest episode; 0: not known


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
        )

    def show(self, rows: Rows, seen: Sequence[tuple[Any, Any] | None]) -> None:
        """Write what the agents see and may do.

        Args:
            rows: of this copy.
            seen: (observation, action mask or None) of each agent that takes part, None for others.
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
            rows.avail[i, :count] = True if mask is None else self._checked(mask, i)

    def _checked(self, mask: Any, i: int) -> Any:
        name = f"the {MASK} of '{self.names[i]}'"
        given, count = numbers(mask, name), self.actions[i].count
        flags = given.astype(bool)
        wrong = ""
        if flags.shape != (count,):
            wrong = f"has shape {flags.shape}"
        elif (given != flags).any():
            wrong = f"is {given.tolist()}"
        elif not flags.any():
            wrong = "allows no action"
        if wrong:
            raise ValueError(f"{name} {wrong}; it must be {count} flags, at least one of them true")
        if not self.action_masks and not flags.all():
            raise UserError(
                f"{name} excludes an action, although "
                f"env_args.action_masks is false. Write env_args.action_masks=true."
            )
        return flags


def mask_of(observation: Any, info: Any) -> Any:
    """The action mask in an agent's observation or info, None if there is none."""
    if isinstance(observation, dict) and MASK in observation:
        return observation[MASK]
    return info.get(MASK) if isinstance(info, dict) else None


def flat_state(env: Any, functions: Sequence[str]) -> Any:
    """The environment's own state as a vector.

    Raises:
        UserError: if the environment has none.
    """
    for name in functions:
        function = getattr(env, name, None)
        if callable(function):
            return numbers(function(), "the state").reshape(-1)
    raise UserError(
        f"env_args.state=env asks for the environment's own state, but it has no method "
        f"{' or '.join(functions)}. Write env_args.state=concat: all observations in a row."
    )


def number(results: Mapping[str, Any], name: str) -> float:
    """The metric `name` among an episode's last infos."""
    if name not in results:
        there = ", ".join(map(str, results)) or "nothing"
        raise UserError(
            f"env_args.metrics names '{name}', but the info at the end of an episode has {there}. "
            f"Correct the name."
        )
    return float(results[name])


def picture_of(env: Any) -> Any:
    """What an environment draws of itself, [height, width, 3] uint8.

    Raises:
        UserError: if that is no picture.
    """
    picture: Any = env.render() if getattr(env, "render_mode", None) == "rgb_array" else None
    if np.ndim(picture) != 3:
        raise UserError(
            "the environment draws no pictures. Add env_args.kwargs.render_mode=rgb_array; if that "
            "changes nothing, it cannot be filmed."
        )
    return np.asarray(picture, dtype=np.uint8)
