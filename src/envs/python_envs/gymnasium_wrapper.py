"""Wraps a Gymnasium-style multi-agent environment: tuples of spaces, a list of rewards.

The convention is that of EPyMARL's `gymma` (Papoudakis et al. 2021), followed by level-based
foraging, RWARE and others. Departures: `truncated` is kept apart from `terminated`, the seed is
given to every reset, and the episode's last observation and reward are kept.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np

from envs.python_envs.gymnasium_loading import load_gymnasium_env
from envs.python_envs.rendering import picture_of
from envs.python_envs.shared_memory import EnvSlot
from envs.python_envs.spaces import flag, numbers, write_numbers
from envs.python_envs.validation import observations_and_infos, require_seed
from envs.python_envs.wrapped_env import (
    AgentSpaces,
    Ended,
    WrappedEnvInfo,
    find_mask,
    flat_state,
    mean_metric,
)
from utils.errors import UserError

STATE_METHODS = ("state", "get_state")


class GymnasiumWrapper:
    """A Gymnasium-style environment as a `WrappedEnv`.

    Args:
        key: `module:Name-v0`, a name that the module registers, or `module:function`.
        kwargs: given to the environment's constructor.
        time_limit: takes the place of the environment's own limit; 0 keeps that.
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
        self.env, self.step_limit = load_gymnasium_env(key, kwargs, time_limit)
        require_seed(self.env, f"env_args.key={key}")
        self.inner = getattr(self.env, "unwrapped", self.env)
        self.own_state, self.varying_team = own_state, varying_team
        seen, acts = (
            _agents_spaces(self.env, name) for name in ("observation_space", "action_space")
        )
        self.n_agents = len(seen)
        if len(acts) != self.n_agents:
            raise UserError(
                f"env_args.key={key}: {self.n_agents} observation spaces, but {len(acts)} "
                f"action spaces; there must be one of each per agent."
            )
        self.agent_spaces = AgentSpaces(
            [f"agent_{i}" for i in range(self.n_agents)], seen, acts, action_masks
        )
        self._present = [True] * self.n_agents
        self._info: Any = {}

    def describe(self) -> WrappedEnvInfo:
        """Sizes; the state's is found by a reset."""
        state_dim = 0
        if self.own_state:
            self.env.reset(seed=0)
            state_dim = flat_state(self.inner, STATE_METHODS).size
        return self.agent_spaces.info(state_dim, self.step_limit)

    def reset(self, seed: int, slot: EnvSlot) -> None:
        """Start an episode and write its first observations."""
        shown = self.env.reset(seed=seed)
        observations, info = observations_and_infos(shown, 2, "observations and info")
        self._present = [True] * self.n_agents
        self._show(slot, observations, info)

    def step(self, actions: Sequence[Any], slot: EnvSlot) -> tuple[bool, bool]:
        """Play one step and write what it returns; returns (terminated, truncated)."""
        acts = self.agent_spaces.actions
        shown: Any = self.env.step(tuple(acts[i].decode(a) for i, a in enumerate(actions)))
        names = "observations, rewards, terminated, truncated and info"
        observations, rewards, terminated, truncated, info = observations_and_infos(shown, 5, names)
        slot.reward[:] = self._rewards(rewards)
        ends = self._ends(terminated, truncated)
        ended: Ended = "terminated" if ends[0] else "truncated" if ends[1] else ""
        self._show(slot, observations, info, ended)
        return ends

    def _rewards(self, rewards: Any) -> Any:
        """One reward per agent; a single one is every agent's."""
        array = numbers(rewards, "the reward")
        if array.size not in (1, self.n_agents):
            raise UserError(
                f"the reward has shape {array.shape}; it must be one number, or one per agent "
                f"({self.n_agents}). Add up its parts, or choose one, in a wrapper of the "
                f"environment."
            )
        return array.reshape(-1)

    def _ends(self, terminated: Any, truncated: Any) -> tuple[bool, bool]:
        """Whether the episode has ended, and how; flags may be single or one per agent."""
        if not np.ndim(terminated) and not np.ndim(truncated):
            return flag(terminated, "terminated"), flag(truncated, "truncated")
        n, present = self.n_agents, np.array(self._present)
        dead = np.broadcast_to(_flags(terminated, "terminated", n), n) & present
        cut = np.broadcast_to(_flags(truncated, "truncated", n), n) & present
        over = bool((dead | cut)[present].all())
        all_dead = bool(dead[present].all())
        if self.varying_team and not all_dead:
            leaving = dead if over else dead | cut
            self._present = (present & ~leaving).tolist()
        return (all_dead, bool(cut.any())) if over else (False, False)

    def _show(self, slot: EnvSlot, observations: Any, info: Any, ended: Ended = "") -> None:
        if len(observations) != self.n_agents:
            raise ValueError(f"{len(observations)} observations for {self.n_agents} agents")
        self.agent_spaces.write(
            slot,
            [
                (seen, find_mask(seen) if mask is None else mask) if present else None
                for seen, mask, present in zip(
                    observations, self._masks(info), self._present, strict=True
                )
            ],
            ended,
        )
        if self.own_state:
            write_numbers(flat_state(self.inner, STATE_METHODS), slot.state, "the state")
        self._info = info

    def _masks(self, info: Any) -> Sequence[Any]:
        """Each agent's action mask, None where there is none.

        Masks are one entry of the info for all agents, one entry of each agent's own info (a list
        of infos, or infos by agent), or what SMAC's `get_avail_actions` returns.
        """
        if not isinstance(info, Mapping):
            masks: Any = [find_mask(own) for own in info]
        else:
            masks = find_mask(info)
            if masks is None:
                own = {agent: find_mask(its) for agent, its in info.items()}
                masks = {agent: mask for agent, mask in own.items() if mask is not None} or None
        if masks is None and callable(ask := getattr(self.inner, "get_avail_actions", None)):
            masks = ask()
        if masks is None:
            return [None] * self.n_agents
        if isinstance(masks, Mapping):
            masks = self._by_agent(masks)
        if len(masks) != self.n_agents:
            raise UserError(
                f"there are {len(masks)} action masks for {self.n_agents} agents. Give one per "
                f"agent, in their order."
            )
        return list(masks)

    def _by_agent(self, masks: Mapping[Any, Any]) -> list[Any]:
        """Masks in the order of the agents, whose keys are 0, '0' or 'agent_0' and so on."""
        index: dict[Any, int] = {}
        for i, name in enumerate(self.agent_spaces.names):
            index |= {i: i, str(i): i, name: i}
        unknown = [key for key in masks if key not in index]
        given = {index[key]: mask for key, mask in masks.items() if key in index}
        missing = [i for i, present in enumerate(self._present) if present and i not in given]
        if unknown or missing:
            what = f"one for {unknown[0]!r}" if unknown else f"none for agent {missing[0]}"
            raise UserError(
                f"among the action masks in the info there is {what}. Give one for each of the "
                f"agents 0 to {self.n_agents - 1}, or a list of them in info['action_mask']."
            )
        return [given.get(i) for i in range(self.n_agents)]

    def metric(self, name: str) -> float:
        """A metric of the environment: the info's entry, or the mean over the agents' own infos."""
        if not isinstance(self._info, Mapping):
            return mean_metric(self._info, name)
        return mean_metric([self._info] if name in self._info else self._info.values(), name)

    def picture(self) -> Any:
        """What the environment draws of itself, [height, width, 3] uint8."""
        return picture_of(self.env)

    def close(self) -> None:
        """Close the environment."""
        self.env.close()


def _flags(x: Any, what: str, n_agents: int) -> list[bool]:
    flags = [flag(one, what) for one in np.ravel(x)]
    if len(flags) not in (1, n_agents):
        raise UserError(
            f"{what} has {len(flags)} flags; it must be one, or one per agent ({n_agents})."
        )
    return flags


def _agents_spaces(env: Any, name: str) -> list[Any]:
    """One space per agent.

    Raises:
        UserError: if the environment has a single space.
    """
    space = getattr(env, name, None)
    if isinstance(space, gymnasium.spaces.Tuple):
        return list(space.spaces)
    if isinstance(space, list | tuple):
        return list(space)
    raise UserError(
        f"env_args.key: the environment's {name} is {space}, not a Tuple with one space per agent. "
        f"Only multi-agent environments can be used; wrap a single agent's space into a Tuple."
    )
