"""One copy of a Gymnasium-style multi-agent environment: tuples of spaces, a list of rewards.

The convention is that of EPyMARL's `gymma` (Papoudakis et al. 2021), followed by level-based
foraging, RWARE and others. Departures: `truncated` is kept apart from `terminated`, the seed is
given to every reset, and the episode's last observation and reward are kept.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np

from envs.python_worlds._arrays import Rows
from envs.python_worlds._spaces import MASK, flag, numbers, write_numbers
from envs.python_worlds._tasks import load_module
from envs.python_worlds._world import Seats, WorldInfo, flat_state, mask_of, number, picture_of
from utils.errors import UserError

STATE_METHODS = ("state", "get_state")


class GymWorld:
    """See the module's text, and `World`.

    Args:
        key: `module:Name-v0`; the module registers the name.
        kwargs: given to the environment's constructor.
        time_limit: takes the place of the registered limit; 0 keeps that.
        own_state: show the environment's state too.
        varying_team: an agent whose own flag is set leaves; otherwise all stay until all are done.
        action_masks: false if it was promised that no mask excludes an action.
    """

    def __init__(
        self,
        key: str,
        kwargs: dict[str, Any],
        time_limit: int,
        own_state: bool,
        varying_team: bool,
        action_masks: bool,
    ):
        self.env = _make(key, kwargs, time_limit)
        self.own_state, self.varying_team = own_state, varying_team
        seen, acts = (_members(self.env, name) for name in ("observation_space", "action_space"))
        self.n_agents = len(seen)
        if len(acts) != self.n_agents:
            raise UserError(
                f"env_args.key={key}: {self.n_agents} observation spaces, but {len(acts)} "
                f"action spaces; there must be one of each per agent."
            )
        self.seats = Seats([f"agent_{i}" for i in range(self.n_agents)], seen, acts, action_masks)
        self._present = [True] * self.n_agents
        self._info: dict[str, Any] = {}

    def describe(self) -> WorldInfo:
        """See `World`."""
        state_dim = 0
        if self.own_state:
            self.env.reset(seed=0)
            state_dim = flat_state(self.env.unwrapped, STATE_METHODS).size
        spec = self.env.spec
        return self.seats.info(state_dim, (spec and spec.max_episode_steps) or 0)

    def reset(self, seed: int, rows: Rows) -> None:
        """See `World`."""
        observations, info = self.env.reset(seed=seed)
        self._present = [True] * self.n_agents
        self._show(rows, observations, info)

    def step(self, actions: Sequence[int], rows: Rows) -> tuple[bool, bool]:
        """See `World`."""
        acts = self.seats.actions
        shown: Any = self.env.step(tuple(acts[i].decode(int(a)) for i, a in enumerate(actions)))
        if len(shown) != 5:
            raise ValueError(
                f"step returned {len(shown)} values; Gymnasium's step returns 5: observations, "
                f"rewards, terminated, truncated, info"
            )
        observations, rewards, terminated, truncated, info = shown
        if np.ndim(rewards) and len(rewards) != self.n_agents:
            raise ValueError(f"step returned {len(rewards)} rewards for {self.n_agents} agents")
        rows.reward[:] = numbers(rewards, "the reward")  # a single one is everybody's
        ends = self._ends(terminated, truncated)
        self._show(rows, observations, info)
        return ends

    def _ends(self, terminated: Any, truncated: Any) -> tuple[bool, bool]:
        """Whether the episode has ended, and how; flags may be single or one per agent."""
        if not np.ndim(terminated) and not np.ndim(truncated):
            return flag(terminated, "terminated"), flag(truncated, "truncated")
        n, present = self.n_agents, np.array(self._present)
        dead = np.broadcast_to(_flags(terminated, "terminated"), n) & present
        cut = np.broadcast_to(_flags(truncated, "truncated"), n) & present
        over = bool((dead | cut)[present].all())
        all_dead = bool(dead[present].all())
        if self.varying_team and not all_dead:
            leaving = dead if over else dead | cut
            self._present = (present & ~leaving).tolist()
        return (all_dead, bool(cut.any())) if over else (False, False)

    def _show(self, rows: Rows, observations: Any, info: Any) -> None:
        if len(observations) != self.n_agents:
            raise ValueError(f"{len(observations)} observations for {self.n_agents} agents")
        masks = info.get(MASK) if isinstance(info, Mapping) else None
        if masks is None:
            masks = [None] * self.n_agents
        elif len(masks) != self.n_agents:
            raise ValueError(f"info has {len(masks)} action masks for {self.n_agents} agents")
        self.seats.show(
            rows,
            [
                (seen, mask_of(seen, None) if mask is None else mask) if present else None
                for seen, mask, present in zip(observations, masks, self._present, strict=True)
            ],
        )
        if self.own_state:
            write_numbers(flat_state(self.env.unwrapped, STATE_METHODS), rows.state, "the state")
        self._info = info

    def result(self, name: str) -> float:
        """See `World`; the info's entry."""
        return number(self._info, name)

    def picture(self) -> Any:
        """See `World`."""
        return picture_of(self.env)

    def close(self) -> None:
        """See `World`."""
        self.env.close()


def _flags(x: Any, what: str) -> list[bool]:
    return [flag(one, what) for one in np.ravel(x)]


def _make(key: str, kwargs: dict[str, Any], time_limit: int) -> gymnasium.Env[Any, Any]:
    setting = f"env_args.key={key}"
    module, colon, name = key.rpartition(":")
    if colon:
        load_module(module, setting)
    try:
        spec = copy.deepcopy(gymnasium.spec(name))
    except gymnasium.error.Error as error:
        raise UserError(
            f"{setting}: {error} Write env_args.key=<module>:<name>, where importing the module "
            f"registers the name."
        ) from error
    spec.kwargs.update(kwargs)  # all of them reach the environment: `make` would keep some
    return gymnasium.make(
        spec,
        max_episode_steps=-1 if time_limit else None,
        disable_env_checker=True,  # it knows environments of a single agent only
    )


def _members(env: gymnasium.Env[Any, Any], name: str) -> list[Any]:
    space = getattr(env, name)
    if isinstance(space, gymnasium.spaces.Tuple):
        return list(space.spaces)
    if isinstance(space, list | tuple):
        return list(space)
    raise UserError(
        f"env_args.key: the environment's {name} is {space}, not a Tuple with one space per agent. "
        f"Only multi-agent environments can be used; wrap a single agent's space into a Tuple."
    )
