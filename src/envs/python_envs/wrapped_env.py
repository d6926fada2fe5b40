"""A Python environment of any library, wrapped so that it writes into its slot."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from components.spaces import ActionSpace, Box
from envs.python_envs.shared_memory import Array, EnvSlot
from envs.python_envs.spaces import MASKS, Actions, Encoder, actions, encoder, numbers
from utils.errors import UserError

Ended = Literal["", "terminated", "truncated"]


@dataclass(frozen=True)
class WrappedEnvInfo:
    """Sizes and spaces of an environment."""

    agent_names: tuple[str, ...]
    obs_dims: tuple[int, ...]
    spaces: tuple[ActionSpace, ...]  # what each agent can do
    state_dim: int  # 0: made of the observations
    step_limit: int  # longest episode; 0: not known
    bounds: tuple[tuple[Array, Array], ...]  # each agent's smallest and largest observation
    is_image: bool  # every agent observes images, stored as bytes


class WrappedEnv(Protocol):
    """What the wrapper of each library implements."""

    def describe(self) -> WrappedEnvInfo:
        """Sizes; may reset the environment to find them."""
        ...

    def reset(self, seed: int, slot: EnvSlot) -> None:
        """Start an episode and write its first observations."""
        ...

    def step(self, actions: Sequence[Any], slot: EnvSlot) -> tuple[bool, bool]:
        """Play one step and write what it returns; returns (terminated, truncated).

        Args:
            actions: a whole number for each agent, or a list of A numbers.
            slot: where to write.
        """
        ...

    def metric(self, name: str) -> float:
        """The metric `name` of the episode that has just ended."""
        ...

    def picture(self) -> Any:
        """What the environment draws of itself (`rendering.py`)."""
        ...

    def close(self) -> None:
        """Close the environment."""
        ...


class AgentSpaces:
    """The agents' observation and action spaces, and how their values are written into a slot.

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
        boxes = [isinstance(acts.space, Box) for acts in self.actions]
        self.is_continuous = all(boxes)
        if any(boxes) and not all(boxes):
            numbered = next(o for o, is_box in zip(owners, boxes, strict=True) if not is_box)
            raise UserError(
                f"The actions of {owners[boxes.index(True)]} are a Box and those of {numbered} are "
                f"not. All agents' actions must be numbers, or none's: wrap the environment so "
                f"that all are of one kind."
            )
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

    def info(self, state_dim: int, step_limit: int) -> WrappedEnvInfo:
        """Sizes and spaces of the environment."""
        return WrappedEnvInfo(
            agent_names=self.names,
            obs_dims=tuple(seen.size for seen in self.encoders),
            spaces=tuple(acts.space for acts in self.actions),
            state_dim=state_dim,
            step_limit=step_limit,
            bounds=tuple((seen.low, seen.high) for seen in self.encoders),
            is_image=all(seen.is_image for seen in self.encoders),
        )

    def write(
        self, slot: EnvSlot, seen: Sequence[tuple[Any, Any] | None], ended: Ended = ""
    ) -> None:
        """Write what the agents see and may do.

        Args:
            slot: where to write.
            seen: (observation, action mask or None) of each agent that takes part, None for others.
            ended: how the episode has ended, if it has.
        """
        for i, what in enumerate(seen):
            if what is None:
                slot.obs[i] = 0
                slot.avail[i] = False
                slot.avail[i, 0] = True  # something harmless to choose
                slot.is_active[i] = False
                continue
            observation, mask = what
            slot.is_active[i] = True
            size, count = self.encoders[i].size, self.actions[i].space.size
            self.encoders[i].write(observation, slot.obs[i, :size])
            slot.avail[i, :count] = True if mask is None else self._checked(mask, i, ended)

    def _checked(self, mask: Any, i: int, ended: Ended) -> Any:
        name = f"the {MASKS[0]} of '{self.names[i]}'"
        if self.is_continuous:
            raise UserError(
                f"{name} is given, although that agent's actions are numbers. Masks say which of "
                f"several actions are allowed; leave the mask out, or use discrete actions."
            )
        given, count = numbers(mask, name), self.actions[i].space.size
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
                f"counts there (docs/guide/terminated_and_truncated.md), so the agent needs an "
                "action: give the mask of any other step. If nothing can follow, return "
                "terminated."
            )
        if wrong:
            raise ValueError(f"{name} {wrong}; it must be {count} flags, at least one of them true")
        if not self.action_masks and not flags.all():
            raise UserError(
                f"{name} excludes an action, although "
                f"env_args.action_masks is false. Write env_args.action_masks=true."
            )
        return flags


def find_mask(*sources: Any) -> Any:
    """The action mask in the first source that has one, such as an observation or an info."""
    for source in sources:
        if isinstance(source, Mapping):
            for name in MASKS:
                if source.get(name) is not None:
                    return source[name]
    return None


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


def mean_metric(infos: Iterable[Any], name: str) -> float:
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
